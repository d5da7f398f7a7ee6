"""Producers and processors of typed queues, on both stores."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.waiting import wait_until

from toril import (
    App,
    Fail,
    HookEvent,
    InvalidOptionError,
    InvalidPayloadError,
    JobFailedError,
    PayloadTooLargeError,
    Profile,
    State,
)
from toril.typed import (
    Backoff,
    JobSettings,
    Kept,
    Processor,
    ProcessorJob,
    Processors,
    Producer,
    QueueRegistry,
    QueueSpec,
)


class Mail(msgspec.Struct, rename="camel"):
    user_id: str
    action: str = "send"


class Sent(msgspec.Struct, rename="camel"):
    success: bool
    processed_at: str


class Course(msgspec.Struct, rename="camel"):
    course_id: str


MAIL = QueueSpec("mail", profile="light", concurrency=5, lock_duration=60_000)
HEAVY = QueueSpec(
    "heavy",
    profile=Profile.HEAVY,
    defaults=JobSettings(
        attempts=2,
        backoff=Backoff(type="fixed", delay=50),
        remove_on_complete=Kept(count=100),
        remove_on_fail=False,
    ),
)
PLAIN = QueueSpec("plain", any_name=True)


class MailProducer(Producer[Mail, Sent], spec=MAIL):
    pass


class HeavyProducer(Producer[Course, dict[str, Any]], spec=HEAVY):
    pass


class MailProcessor(Processor[Mail, Sent], spec=MAIL):
    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []

    async def process(self, job: ProcessorJob[Mail]) -> Sent:
        job.update_progress(50)
        job.log(f"for {job.data.user_id}")
        if job.data.action == "fail":
            raise Fail("no such action")
        return Sent(True, f"{job.name} {job.queue_name} {job.id} {job.attempts_made}")

    def on_active(self, job: HookEvent) -> None:
        self.seen.append(("active", str(job.job_id)))

    def on_completed(self, job: HookEvent, result: str | None) -> None:
        self.seen.append(("completed", str(job.job_id), str(result)))

    async def on_failed(self, job: HookEvent, error: str) -> None:
        self.seen.append((job.name, str(job.job_id), error))

    def on_progress(self, job: HookEvent, progress: str | None) -> None:
        self.seen.append(("progress", str(job.job_id), str(progress)))


class HeavyProcessor(Processor[Course, dict[str, Any]], spec=HEAVY):
    def __init__(self) -> None:
        self.keys: list[tuple[int, str]] = []
        self.told: list[tuple[str, int | None]] = []

    def process(self, job: ProcessorJob[Course]) -> dict[str, Any]:
        self.keys.append((job.attempts_made, job.idempotency_key))
        if job.data.course_id == "broken":
            raise ValueError("no such course")
        return {"course": job.data.course_id}

    def on_failed(self, job: HookEvent, error: str) -> None:
        self.told.append((job.name, job.attempt))


QUEUES = QueueRegistry([MAIL, HEAVY, PLAIN], producers=[MailProducer, HeavyProducer])


def ended(processor: MailProcessor, word: str) -> Callable[[], bool]:
    return lambda: any(one[0] == word for one in processor.seen)


async def test_processor_runs_what_a_producer_of_another_app_adds(url: str) -> None:
    api, works = App(url), App(url)
    processor = MailProcessor()
    processors = Processors(QUEUES, [processor, HeavyProcessor()])
    processors.register(works)

    async with api, works:
        producer = QUEUES.producers(api).get(MailProducer)
        job = await producer.enqueue(Mail("u1"))
        assert (await job.info()).name == "process"
        assert api.tasks() == []
        async with works.worker(queues=["mail"]):
            result = await job.result(timeout_s=60)
            await wait_until(ended(processor, "completed"))

        assert result == Sent(True, f"process mail {job.id} 0")
    assert processor.seen[0] == ("active", job.id)
    assert ("progress", job.id, "50") in processor.seen


async def test_wrong_payload_is_refused_at_the_door_and_fails_once_from_the_store(url: str) -> None:
    app = App(url)
    Processors(QUEUES, [MailProcessor()]).register(app)

    async with app:
        producer = QUEUES.producers(app).get(MailProducer)
        with pytest.raises(InvalidPayloadError, match=r"userId.*str.*int") as refused:
            await producer.enqueue(Mail(user_id=3))  # type: ignore[arg-type]
        assert await app.queues() == []
        with pytest.raises(PayloadTooLargeError, match=r"1048\d\d\d bytes.*262144"):
            await producer.enqueue(Mail("u" * 1024 * 1024))
        foreign = App(url)
        async with foreign:
            lacking = await foreign.queue("mail").add("process", {"action": "send"})
            wrong = await foreign.queue("mail").add("process", {"userId": 3, "more": 1})
            other = await foreign.queue("mail").add("else", {"userId": "u"})
            async with app.worker(queues=["mail"]):
                for job in (lacking, wrong, other):
                    with pytest.raises(JobFailedError):
                        await job.result(timeout_s=60)
            info = await wrong.info()
            assert info.attempts_made == 1
            assert info.data == {"userId": 3, "more": 1}
            assert str(refused.value).partition(": ")[2] in str(info.failed_reason)
            assert "userId" in str((await lacking.info()).failed_reason)
            assert "Unknown job type: else" in str((await other.info()).failed_reason)


async def test_options_of_call_queue_and_registry_go_before_each_other(url: str) -> None:
    app = App(url)
    shared = JobSettings(attempts=4, remove_on_complete=7)
    queues = QueueRegistry([MAIL, HEAVY], producers=[MailProducer, HeavyProducer], defaults=shared)

    async with app:
        producers = queues.producers(app)
        mail, heavy = producers.get(MailProducer), producers.get(HeavyProducer)
        plain = await mail.enqueue(Mail("u"))
        called = await mail.enqueue(
            Mail("u"),
            job_id="mine",
            priority=3,
            delay=60_000,
            attempts=1,
            backoff=Backoff(type="fixed", delay=5),
            remove_on_complete=False,
            remove_on_fail=Kept(count=2, age=60),
        )
        weighty = await heavy.enqueue(Course("c"))

        assert (await plain.info()).options == {
            "attempts": 4,
            "backoff": {"type": "exponential", "delay": 1000},
            "removeOnComplete": 7,
            "removeOnFail": False,
        }
        info = await called.info()
        assert (info.id, info.state, info.priority) == ("mine", State.DELAYED, 3)
        assert info.options["attempts"] == 1
        assert info.options["backoff"] == {"type": "fixed", "delay": 5}
        assert info.options["removeOnComplete"] is False
        assert info.options["removeOnFail"] == {"count": 2, "age": 60}
        assert info.options["delay"] == 60_000
        options = (await weighty.info()).options
        assert options["attempts"] == 2
        assert options["backoff"] == {"type": "fixed", "delay": 50}


async def test_failed_hook_is_told_of_each_attempt_and_the_key_stays(url: str) -> None:
    app, processor = App(url), HeavyProcessor()
    Processors(QUEUES, [processor]).register(app)

    async with app:
        job = await QUEUES.producers(app).get(HeavyProducer).enqueue(Course("broken"))
        async with app.worker():
            with pytest.raises(JobFailedError, match="no such course"):
                await job.result(timeout_s=60)
            await wait_until(lambda: len(processor.told) == 2)
        assert (await job.info()).state is State.FAILED

    assert processor.told == [("retried", 1), ("failed", 2)]
    assert [made for made, _ in processor.keys] == [0, 1]
    assert len({key for _, key in processor.keys}) == 1


async def test_each_queue_has_a_worker_of_its_own_figures(url: str) -> None:
    app = App(url)
    processors = Processors(QUEUES, [MailProcessor(), HeavyProcessor()])
    processors.register(app)

    async with app:
        workers = processors.workers(app, "all")

    figures = {
        worker.options.queues[0]: (
            worker.options.concurrency,
            worker.options.lease_s,
            worker.options.sweep_s,
            worker.options.max_stalled,
        )
        for worker in workers
    }
    assert figures == {"mail": (5, 60.0, 30.0, 1), "heavy": (1, 3600.0, 300.0, 1)}


def test_worker_type_selects_queues_and_a_wrong_one_is_refused_with_all() -> None:
    processors = Processors(QUEUES, [MailProcessor(), HeavyProcessor()])

    assert processors.selected("light") == [MAIL]
    assert processors.selected("heavy") == [HEAVY]
    assert processors.selected("all") == processors.selected(None) == [MAIL, HEAVY]
    with pytest.raises(InvalidOptionError, match=r"'heavy'.*light, medium, heavy, all"):
        processors.selected("hevy")
    with pytest.raises(InvalidOptionError, match="no processor is of this type"):
        processors.selected("medium")


def test_mismatches_stop_the_start_and_both_sides_are_named() -> None:
    stray = QueueSpec("mial")
    twin = QueueSpec("mail")

    class StrayProcessor(Processor[Mail, Sent], spec=stray):
        async def process(self, job: ProcessorJob[Mail]) -> Sent:
            raise Fail("-")

    class TwinProducer(Producer[Mail, Sent], spec=twin):
        pass

    class SecondProducer(Producer[Mail, Sent], spec=MAIL):
        pass

    class OtherProcessor(Processor[Course, Sent], spec=MAIL):
        async def process(self, job: ProcessorJob[Course]) -> Sent:
            raise Fail("-")

    with pytest.raises(InvalidOptionError, match=r"StrayProcessor.*'mial'.*did you mean 'mail'"):
        Processors(QUEUES, [StrayProcessor()])
    with pytest.raises(InvalidOptionError, match=r"TwinProducer.*'mail'.*another QueueSpec"):
        QueueRegistry([MAIL], producers=[TwinProducer])
    with pytest.raises(InvalidOptionError, match=r"two processors, MailProcessor and MailProcess"):
        Processors(QUEUES, [MailProcessor(), MailProcessor()])
    with pytest.raises(InvalidOptionError, match=r"two producers, MailProducer and .*SecondProd"):
        QueueRegistry([MAIL], producers=[MailProducer, SecondProducer])
    with pytest.raises(InvalidOptionError, match=r"payload Mail, and .*OtherProcessor has Course"):
        Processors(QUEUES, [OtherProcessor()])
    with pytest.raises(InvalidOptionError, match="'mail' is registered twice"):
        QueueRegistry([MAIL, MAIL])
    with pytest.raises(InvalidOptionError, match="SecondProducer is not registered; there are"):
        QUEUES.producers(App("sqlite://:memory:")).get(SecondProducer)


def test_class_without_queue_or_types_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="Lost: spec=None: expected a QueueSpec"):

        class Lost(Producer[Mail, Sent]):
            pass

    with pytest.raises(InvalidOptionError, match=r"Bare: expected the types.*Producer\[Payload"):

        class Bare(Producer, spec=MAIL):  # type: ignore[type-arg]
            pass

    class Child(MailProducer):
        pass

    assert Child.spec is MAIL


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"concurrency": 0}, r"concurrency=0: expected an integer from 1"),
        ({"lock_duration": 999}, r"lock_duration=999: expected milliseconds.* from 1000"),
        ({"stalled_interval": 0}, r"stalled_interval=0"),
        ({"max_stalled_count": -1}, r"max_stalled_count=-1"),
        ({"profile": "hevy"}, r"profile='hevy': expected one of light, medium, heavy"),
        ({"timeout_s": 0}, r"timeout_s=0"),
        ({"defaults": {"attempts": 3}}, r"defaults=.*expected JobSettings"),
    ],
)
def test_figures_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        QueueSpec("q", **options)


@pytest.mark.parametrize("name", ["", "a:b"])
def test_queue_names_that_bullmq_cannot_have_are_refused(name: str) -> None:
    with pytest.raises(InvalidOptionError):
        QueueSpec(name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"attempts": -1}, r"attempts=-1: expected an integer from 1"),
        ({"delay": -1}, r"delay=-1: expected milliseconds"),
        ({"priority": -1}, r"priority=-1"),
        ({"backoff": "linear"}, r"backoff='linear': expected Backoff"),
        ({"remove_on_fail": -1}, r"remove_on_fail=-1"),
    ],
)
def test_job_options_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        JobSettings(**options)


def test_backoff_and_kept_are_checked() -> None:
    with pytest.raises(InvalidOptionError, match=r"backoff\.type='linear'"):
        Backoff(type="linear")  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match=r"backoff\.delay=1\.5"):
        Backoff(delay=1.5)  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="count=-1"):
        Kept(count=-1)
    with pytest.raises(InvalidOptionError, match="age=-2"):
        Kept(age=-2)


def test_stalled_check_longer_than_the_lock_warns() -> None:
    with pytest.warns(UserWarning, match="stalled_interval=30000 is longer than lock_d"):
        QueueSpec("q", lock_duration=5000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        QueueSpec("q")


def test_profiles_have_the_figures_of_the_documents() -> None:
    found = {
        profile: QueueSpec("q", profile=profile).figures
        for profile in (None, "light", "medium", "heavy")
    }

    def of(profile: str | None) -> tuple[int, int, int, int]:
        one = found[profile]
        return (
            one.concurrency, one.lock_duration, one.stalled_interval, one.max_stalled_count,
        )  # fmt: skip

    assert of(None) == (1, 30_000, 30_000, 1)
    assert of("light") == (50, 30_000, 30_000, 1)
    assert of("medium") == (10, 300_000, 30_000, 1)
    assert of("heavy") == (1, 3_600_000, 300_000, 1)


async def test_flow_of_nodes_and_many_jobs_by_producers(url: str) -> None:
    app = App(url)

    class Collector(Processor[Any, Any], spec=PLAIN):
        async def process(self, job: ProcessorJob[Any]) -> Any:
            return sorted(one["course"] for one in (await job.children_values()).values())

    class PlainProducer(Producer[Any, Any], spec=PLAIN):
        pass

    queues = QueueRegistry([HEAVY, PLAIN], producers=[HeavyProducer, PlainProducer])
    Processors(queues, [Collector(), HeavyProcessor()]).register(app)

    async with app:
        producers = queues.producers(app)
        heavy = producers.get(HeavyProducer)
        children = [heavy.node(Course("a")), heavy.node(Course("b"), attempts=1)]
        node = producers.get(PlainProducer).node({}, children=children)
        parent = await app.flows.add(node)
        many = await heavy.enqueue_many([Course("x"), Course("y")])
        async with app.worker(concurrency=4):
            assert await parent.result(timeout_s=60) == ["a", "b"]
            assert [await job.result(timeout_s=60) for job in many] == [
                {"course": "x"},
                {"course": "y"},
            ]


def test_plain_code_adds_jobs(url: str) -> None:
    app = App(url)
    producer = QUEUES.producers(app).get(MailProducer)

    one = producer.enqueue_sync(Mail("u"), priority=2)
    many = producer.enqueue_many_sync([Mail("v"), Mail("w")])

    assert one.info_sync().priority == 2
    assert [job.info_sync().data["userId"] for job in many] == ["v", "w"]
    app.close_sync()


async def test_run_works_until_a_signal(url: str, tmp_path: Path) -> None:
    program = """
import asyncio, os, signal, sys
from tests.typed.test_typed_queues import QUEUES, Mail, MailProcessor, MailProducer
from toril import App
from toril.typed import Processors

async def main():
    app, processor = App(sys.argv[1]), MailProcessor()
    processors = Processors(QUEUES, [processor])
    processors.register(app)
    async with app:
        async def look():
            job = await QUEUES.producers(app).get(MailProducer).enqueue(Mail("u"))
            print("done", (await job.result(timeout_s=60)).success, flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
        tasks = []
        def started(workers):
            print("started", [worker.options.queues for worker in workers], flush=True)
            tasks.append(asyncio.create_task(look()))
        await processors.run(app, started=started)
    print("ended")

asyncio.run(main())
"""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program, url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.stdout.splitlines() == ["started [['mail']]", "done True", "ended"], done.stderr
    assert done.returncode == 0, done.stderr


def test_producers_bring_in_no_ready_made_work() -> None:
    """An API that only adds jobs needs none of what a worker needs."""
    program = """
import sys
from toril import App
from toril.typed import Producer, QueueRegistry, QueueSpec

SPEC = QueueSpec("q")
class Adds(Producer[str, str], spec=SPEC): pass
QueueRegistry([SPEC], producers=[Adds]).producers(App("sqlite://:memory:")).get(Adds)
rooms = ("toril.library", "PIL", "av", "jinja2", "sqlalchemy", "aiohttp")
print([name for name in sys.modules if name.startswith(rooms)])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == ("[]\n", "")
