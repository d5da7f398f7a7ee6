"""A task runs jobs of other queues, names and payloads, by bindings. On both stores."""

from __future__ import annotations

import asyncio
import warnings
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from tests.support.waiting import wait_until
from tests.tasks import bound_tasks

from toril import (
    App,
    Call,
    Context,
    Fail,
    InvalidOptionError,
    InvalidPayloadError,
    Job,
    JobDraft,
    JobFailedError,
    JobOptions,
    KeepPolicy,
    Node,
    PayloadTooLargeError,
    RateLimit,
    RetryPolicy,
    Settings,
    State,
    StoredJob,
    Task,
    TaskBundle,
    WholePayload,
)
from toril.engine.new_jobs import Blueprint
from toril.tasks.door import Request
from toril.testing import MemoryApp

Arguments = dict[str, Any]
ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/toril.db?durability=normal"


mail = TaskBundle()


@mail.task(name="email.send", queue="mail", retry=RetryPolicy(max_attempts=4))
async def send(
    context: Context, to: list[str], subject: str = "-", html: str = ""
) -> dict[str, Any]:
    """Return what it was given."""
    return {"to": to, "subject": subject, "html": html, "task": context.task, "data": context.data}


def from_chat(to: str, subject: str, body: str) -> Arguments:
    """Take a mail of the chat."""
    if "@" not in to:
        raise ValueError(f"to={to!r} is no address")
    return send.arguments_of(to=[to], subject=subject, html=body)


def from_shop(recipients: list[str], template: str = "none") -> Arguments:
    """Take a mail of the shop."""
    return send.arguments_of(to=recipients, subject=template)


def accepted(result: dict[str, Any]) -> dict[str, Any]:
    """Answer as the chat expects."""
    return {"success": True, "to": result["to"]}


async def stored(app: App, queue: str, name: str, data: str) -> Job[Any]:
    """Add a job as other producers do: the app's door does not see it."""
    (answer,) = await app.backend().jobs.add([Blueprint(queue, name).job(data)])
    return app.queue(queue).job(answer.job_id)


async def reason(job: Job[Any]) -> str:
    """Return why a job failed at its first attempt."""
    with pytest.raises(JobFailedError):
        await job.result(timeout_s=20)
    info = await job.info()
    assert (info.state, info.attempts_made) == (State.FAILED, 1)
    return str(info.failed_reason)


async def test_an_adapter_makes_the_arguments_of_another_payload(url: str) -> None:
    async with App(url) as app:
        app.bind("email", send, names="send-email", adapter=from_chat, result=accepted)
        job = await app.queue("email").add(
            "send-email", {"to": "a@x.test", "subject": "s", "body": "<p>"}
        )
        async with app.worker():
            assert await job.result(timeout_s=20) == {"success": True, "to": ["a@x.test"]}
        info = await job.info()
        assert info.max_attempts == 4, "the task's own retries hold"


async def test_one_task_serves_several_queues_and_its_own(url: str) -> None:
    async with App(url) as app:
        app.include(mail)
        app.bind("email", send, names=["a", "b"], adapter=from_chat)
        app.bind("shop", send, adapter=from_shop)
        task: Task[..., Any] = app.bound(send)
        own = await task.enqueue(to=["own"])
        jobs: list[Job[Any]] = [
            own,
            await app.queue("email").add("a", {"to": "@a", "subject": "s", "body": "b"}),
            await app.queue("email").add("b", {"to": "@b", "subject": "s", "body": "b"}),
            await app.queue("shop").add("whatever", {"recipients": ["x", "y"]}),
            await stored(app, "shop", "more:names", '{"recipients": ["z"]}'),
        ]
        worker = app.worker()
        assert sorted(worker.options.queues) == ["email", "mail", "shop"]
        async with worker:
            found = [(await job.result(timeout_s=20)) for job in jobs]
        assert [one["to"] for one in found] == [["own"], ["@a"], ["@b"], ["x", "y"], ["z"]]
        assert [one["task"] for one in found][1:] == ["a", "b", "whatever", "more:names"]
        assert found[3]["data"] == {"recipients": ["x", "y"]}, "the context has what is stored"


async def test_forms_are_told_apart_by_their_fields(url: str) -> None:
    def bulk(recipients: list[str], job: StoredJob) -> Arguments:
        return send.arguments_of(to=recipients, subject=f"{job.queue} {job.data.get('campaign')}")

    def lax(to: str = "nobody", job: StoredJob | None = None) -> Arguments:
        assert job is not None
        return send.arguments_of(to=[to], subject="lax")

    async with App(url) as app:
        app.bind("mixed", send, adapter=[lax, bulk, from_chat, send])
        async with app.worker():
            for data, subject in [
                ('{"recipients": ["a"]}', "mixed None"),  # `lax` has no place for it
                ('{"recipients": ["a"], "campaign": 7}', "lax"),  # none has: the first that fits
                ('{"to": "@a", "subject": "s", "body": "b"}', "s"),
                ('{"to": ["a"], "subject": "own"}', "own"),
                ("{}", "lax"),
            ]:
                job = await stored(app, "mixed", "x", data)
                assert (await job.result(timeout_s=20))["subject"] == subject, data


async def test_what_fits_no_form_fails_at_once_and_says_what_was_expected(url: str) -> None:
    async with App(url) as app:
        app.bind("email", send, names="one", adapter=from_chat)
        app.bind("email", send, names="two", adapter=[from_chat, from_shop])
        async with app.worker():
            job = await stored(app, "email", "one", '{"to": "a"}')
            assert await reason(job) == ("task 'email.send', field 'subject': missing")
            assert (await job.info()).data == {"to": "a"}
            words = await reason(await stored(app, "email", "two", '{"template": "t"}'))
            assert "from_chat(to, subject, body): field 'to': missing" in words
            assert "from_shop(recipients, template?): field 'recipients': missing" in words
            job = await stored(app, "email", "one", '{"to": "a", "subject": "", "body": ""}')
            assert "to='a' is no address (said by the adapter 'from_chat')" in await reason(job)


async def test_the_door_refuses_what_the_store_may_hold(url: str) -> None:
    async with App(url) as app:
        app.bind("email", send, names="send-email", adapter=from_chat)
        queue = app.queue("email")
        good = {"to": "@a", "subject": "s", "body": "b"}
        with pytest.raises(InvalidPayloadError, match="'bdy': unknown; did you mean 'body'"):
            await queue.add("send-email", {"to": "@a", "subject": "s", "bdy": "b"})
        with pytest.raises(InvalidPayloadError, match="'cc': unknown; known are body, subject, to"):
            await queue.add_many([("send-email", good), ("send-email", {**good, "cc": "x"})])
        with pytest.raises(InvalidPayloadError, match="no address"):
            await queue.add("send-email", {**good, "to": "a"})
        with pytest.raises(InvalidPayloadError, match="unknown"):
            await app.add_requests("email", [Request("send-email", {**good, "cc": "x"})])
        with pytest.raises(InvalidPayloadError, match="unknown"):
            await app.flows.add(Node("email", "send-email", {**good, "cc": "x"}))
        with pytest.raises(InvalidPayloadError, match="unknown"):
            await app.schedules.put("s", queue, {**good, "cc": "x"}, name="send-email", every=60)
        assert await queue.info() is None, "nothing was added"
        async with app.worker():
            job = await stored(
                app, "email", "send-email", '{"to":"@a","subject":"s","body":"b","cc":"x"}'
            )
            assert (await job.result(timeout_s=20))["data"]["cc"] == "x"


async def test_every_door_adds_with_the_options_of_the_binding(url: str) -> None:
    own = JobOptions(
        max_attempts=2,
        backoff="fixed",
        backoff_s=7.0,
        priority=5,
        keep_completed=KeepPolicy(count=3),
        delay_s=30.0,
    )
    good = {"to": "@a", "subject": "s", "body": "b"}
    async with App(url) as app:
        app.bind("email", send, names="send-email", adapter=from_chat, options=own)
        queue = app.queue("email")
        jobs = [
            await queue.add("send-email", good),
            (await app.add_requests("email", [Request("send-email", good)]))[0],
            (await app.flows.add(Node("email", "send-email", good))).root,
            await app.find_task("send-email", "email").enqueue(**good),
            (await app.find_task("send-email", "email").enqueue_many([good]))[0],
        ]
        for job in jobs:
            info = await job.info()
            assert (info.max_attempts, info.priority, info.state) == (2, 5, State.DELAYED)
            assert (info.options["backoff"], info.options["removeOnComplete"]) == (
                {"type": "fixed", "delay": 7000},
                3,
            )
        said = JobOptions(max_attempts=9, priority=1, job_id="mine")
        info = await (await queue.add("send-email", good, said)).info()
        assert (info.max_attempts, info.priority, info.id) == (9, 1, "mine")
        assert info.options["backoff"] == {"type": "fixed", "delay": 7000}


async def test_a_stored_job_without_attempts_gets_those_of_the_binding(url: str) -> None:
    async with App(url) as app:

        @app.task(retry=RetryPolicy(max_attempts=3, base_s=0.0))
        async def fails() -> None:
            raise RuntimeError("no")

        app.bind("email", fails, names="x", options=JobOptions(max_attempts=2, backoff_s=0.0))
        async with app.worker():
            job = await stored(app, "email", "x", "{}")
            with pytest.raises(JobFailedError):
                await job.result(timeout_s=20)
            assert (await job.info()).attempts_made == 2


async def test_a_queue_that_is_bound_by_name_takes_no_other(url: str) -> None:
    async with App(url) as app:
        app.bind("email", send, names="send-email", adapter=from_chat)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an error is enough
            with pytest.raises(InvalidOptionError, match=r"Unknown job type: send-mail, .*'send-"):
                await app.queue("email").add("send-mail", {})
        with pytest.raises(InvalidOptionError, match="it takes send-email"):
            await app.add_requests("email", [Request("nothing-like-it")])
        with pytest.raises(InvalidOptionError, match="Unknown job type"):
            await app.flows.add(Node("email", "send-mail"))
        async with app.worker():
            job = await stored(app, "email", "send-mail", '{"n": 1}')
            assert await reason(job) == "Unknown job type: send-mail"
            assert (await job.info()).data == {"n": 1}


async def test_an_app_that_says_so_lets_unknown_names_wait(url: str) -> None:
    async with App(url, unknown_tasks="wait") as app:
        app.bind("email", send, names="send-email", adapter=from_chat)
        with pytest.warns(match="no task 'send-mail'"):
            job = await app.queue("email").add("send-mail", {"n": 1})

        async def put_back() -> bool:
            info = await job.info()
            return info.state is State.DELAYED and info.attempts_made == 0

        async with app.worker():
            await wait_until(put_back, what="the job to be put back")


async def test_a_binding_of_any_name_keeps_a_queue_open(url: str) -> None:
    async with App(url) as app:
        app.bind("email", send, names="named", adapter=from_chat)
        app.bind("email", send, adapter=from_shop)
        async with app.worker():
            one = await app.queue("email").add("named", {"to": "@", "subject": "1", "body": ""})
            other = await app.queue("email").add("other", {"recipients": ["a"], "template": "2"})
            assert (await one.result(timeout_s=20))["subject"] == "1"
            assert (await other.result(timeout_s=20))["subject"] == "2"
            (worker,) = await app.workers()
            assert worker.tasks == {"email": ["named", "*"]}


async def test_a_task_in_a_process_is_bound_as_well(url: str) -> None:
    async with App(url) as app:
        app.include(bound_tasks.bundle)
        async with app.worker(queues=["uploads"]):
            job = await app.queue("uploads").add("count", {"filePath": "/a"})
            result = await job.result(timeout_s=60)
            assert result.pop("pid") > 0
            assert result == {"success": True, "child": True, "path": "/a", "words": ["count", "1"]}


async def test_schedules_and_follow_ups_go_through_bindings(url: str) -> None:
    async with App(url) as app:
        app.bind("email", send, names="send-email", adapter=from_chat)

        @app.task(queue="first")
        async def first(context: Context) -> str:
            with pytest.raises(InvalidPayloadError, match="unknown"):
                context.enqueue("send-email", {"to": "@", "subjet": "", "body": ""}, queue="email")
            context.enqueue("send-email", {"to": "@", "subject": "f", "body": ""}, queue="email")
            with pytest.raises(InvalidOptionError, match="Unknown job type: mail"):
                context.enqueue("mail", {}, queue="email")
            return "added"

        good = {"to": "@s", "subject": "scheduled", "body": ""}
        await app.schedules.put(
            "s", app.queue("email"), good, name="send-email", every=3600, immediately=True
        )
        (schedule,) = await app.schedules.list()
        assert schedule.problem is None
        added = await first.enqueue()

        async def subjects() -> bool:
            page = await app.queue("email").jobs(State.COMPLETED)
            found = {cast("dict[str, Any]", job.result)["subject"] for job in page.jobs}
            return found == {"f", "scheduled"}

        async with app.worker():
            assert await added.result(timeout_s=20) == "added"
            await wait_until(subjects, what="both mails")


async def test_sealed_fields_of_the_payload_are_named_by_the_binding(url: str) -> None:
    from toril.core.sealing import new_key

    app = App(url, settings=Settings(encryption_keys=(new_key(),)))

    @app.task(queue="own", sealed=["html"])
    async def private(to: str, html: str) -> str:
        return f"{to} {html}"

    def secret(to: str, data: dict[str, str]) -> Arguments:
        return private.arguments_of(to=to, html=data["html"])

    with pytest.raises(InvalidOptionError, match="sealed=None: task 'private' has sealed fields"):
        app.bind("email", private, adapter=secret)
    app.bind("email", private, names="x", adapter=secret, sealed=["data.html"])
    async with app:
        job = await app.queue("email").add("x", {"to": "a", "data": {"html": "sesame-open"}})
        record = await app.backend().jobs.get("email", job.id)
        assert record is not None
        assert "sesame-open" not in record.data
        assert '"to":"a"' in record.data.replace(" ", "")
        async with app.worker():
            await wait_until(_completed(job), what="the job to complete")
        record = await app.backend().jobs.get("email", job.id)
        assert record is not None
        assert "sesame-open" not in str(record.result)
        task = app.find_task("x", "email")
        assert task.decode(str(record.result)) == "a sesame-open"


def _completed(job: Job[Any]) -> Any:
    async def look() -> bool:
        return (await job.info()).state is State.COMPLETED

    return look


async def test_middleware_sees_stored_payload_and_wire_result(url: str) -> None:
    async with App(url) as app:
        app.bind("email", send, names="send-email", adapter=from_chat, result=accepted)
        seen: list[Any] = []

        @app.middleware
        async def look(context: Context, call: Call) -> Any:
            result = await call()
            seen.append((context.data, result))
            return result

        @app.enqueue_middleware
        def trace(job: JobDraft) -> None:
            job.payload["trace"] = "t1"

        async with app.worker():
            job = await app.queue("email").add(
                "send-email", {"to": "@a", "subject": "s", "body": "b"}
            )
            assert await job.result(timeout_s=20) == {"success": True, "to": ["@a"]}
        ((data, result),) = seen
        assert data == {"to": "@a", "subject": "s", "body": "b", "trace": "t1"}
        assert result == {"success": True, "to": ["@a"]}


async def test_a_result_that_cannot_be_made_fails_without_another_run() -> None:
    def broken(result: dict[str, Any], job: StoredJob) -> dict[str, Any]:
        raise KeyError(job.name)

    def gives_up(result: dict[str, Any]) -> dict[str, Any]:
        raise Fail("on purpose")

    async with MemoryApp() as app:
        app.bind("email", send, names="broken", adapter=from_shop, result=broken)
        app.bind("email", send, names="gives-up", adapter=from_shop, result=gives_up)
        first = await app.queue("email").add("broken", {"recipients": []})
        other = await app.queue("email").add("gives-up", {"recipients": []})
        await app.run_until_idle()
        assert (await first.info()).failed_reason == (
            "'email.send' has done its work, but 'broken', which makes the result of the job,"
            " failed: KeyError: 'broken'"
        )
        assert (await other.info()).failed_reason == "on purpose"
        assert (await first.info()).attempts_made == 1


class Envelope(msgspec.Struct):
    """What one producer wraps its payload in."""

    job_data: dict[str, str] = msgspec.field(name="jobData")
    max_attempts: int = msgspec.field(name="maxAttempts", default=1)


async def test_an_adapter_may_take_and_give_payloads_whole() -> None:
    async with MemoryApp() as app:

        @app.task()
        async def greet(who: WholePayload[dict[str, str]]) -> str:
            return who["name"]

        def unwrap(envelope: WholePayload[Envelope]) -> dict[str, str]:
            return envelope.job_data

        def plain(name: str) -> dict[str, str]:
            return {"name": name}

        app.bind("q", greet, adapter=[unwrap, plain])
        with pytest.raises(InvalidPayloadError, match="Attempt"):
            await app.queue("q").add("x", {"jobData": {"name": "N"}, "maxAttempt": 2})
        one = await app.queue("q").add("x", {"jobData": {"name": "N"}, "maxAttempts": 2})
        two = await app.queue("q").add("x", {"name": "M"})
        await app.run_until_idle()
        assert [(await one.info()).result, (await two.info()).result] == ["N", "M"]


async def test_what_an_adapter_returns_is_checked() -> None:
    def nothing() -> None:
        return None

    def wrong(job: StoredJob) -> Arguments:
        return {"to": "no list", "subject": job.id}

    async with MemoryApp() as app:
        app.bind("q", send, names="nothing", adapter=nothing)
        app.bind("q", send, names="wrong", adapter=wrong)
        with pytest.raises(InvalidPayloadError, match="'nothing' returned NoneType: expected the"):
            await app.queue("q").add("nothing")
        job = await app.queue("q").add("wrong")  # it wants the job, so it is called later
        await app.run_until_idle()
        words = str((await job.info()).failed_reason)
        assert "field 'to'" in words
        assert "(made by the adapter 'wrong')" in words


async def test_a_stored_job_tells_an_adapter_about_itself() -> None:
    seen: list[StoredJob] = []

    def look(job: StoredJob) -> Arguments:
        seen.append(job)
        if job.attempt < 2:
            raise RuntimeError("later")  # an error that is no ValueError is tried again
        return send.arguments_of(to=[])

    async with MemoryApp() as app:
        options = JobOptions(backoff_s=0.0, max_attempts=3)
        app.bind("q", send, names="x", adapter=look, options=options)
        job = await stored(app, "q", "x", '{"more": [1]}')
        await app.run_until_idle()
        info = await job.info()
        assert info.state is State.COMPLETED
        assert [one.attempt for one in seen] == [1, 2]
        last = seen[-1]
        assert (last.queue, last.name, last.id, last.data) == ("q", "x", job.id, {"more": [1]})
        assert last.created_at == info.created_at
        assert last.options == {}


async def test_concurrency_and_rate_are_those_of_the_queue(url: str) -> None:
    running = most = 0
    free = asyncio.Event()

    async with App(url) as app:

        @app.task(queue="own")
        async def slow() -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await free.wait()
            running -= 1

        app.bind("few", slow, concurrency=2, rate=RateLimit(limit=1000))
        app.bind("slow", slow, rate=RateLimit(limit=1, window_s=60.0))
        await app.queue("few").add_many([("x", None)] * 6)
        worker = app.worker(concurrency=20)
        assert worker.options.at_once == {"few": 2}
        assert worker.options.rates == {
            "few": RateLimit(limit=1000),
            "slow": RateLimit(limit=1, window_s=60.0),
        }
        async with worker:
            await wait_until(lambda: running == 2, what="two to run")
            own = [await slow.enqueue() for _ in range(5)]
            await wait_until(lambda: running == 7, what="five of another queue beside them")
            assert most == 7
            most = 0
            free.set()
            for job in own:
                await job.result(timeout_s=20)

            async def done() -> bool:
                info = await app.queue("few").info()
                return info is not None and info.completed == 6

            await wait_until(done, what="all six")
            free.clear()
            await wait_until(lambda: running == 0, what="none to run")
            most = 0
            await app.queue("few").add_many([("x", None)] * 3)
            await wait_until(lambda: running == 2, what="two again")
            free.set()
            await app.queue("slow").add_many([("x", None)] * 2)

            async def one() -> bool:
                info = await app.queue("slow").info()
                return info is not None and info.completed == 1

            await wait_until(one, what="one of the slow queue")
            assert await app.queue("slow").held_s(1) > 0
            assert most <= 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"names": []}, "names=.*: expected names of jobs"),
        ({"names": "send-email", "concurrency": 0}, "concurrency=0"),
        ({"rate": 5}, "rate=5: expected a RateLimit"),
        ({"options": {}}, "options={}: expected JobOptions"),
        ({"options": JobOptions(job_id="x")}, r"options.job_id='x': expected None"),
        ({"adapter": 5}, "adapter=5: expected a function"),
        ({"adapter": []}, "expected at least one"),
        ({"result": 5}, "result=5: expected a function"),
        ({"sealed": "to"}, "sealed='to': expected names of fields"),
        ({"names": "taken"}, "'email' has a task of this name already"),
    ],
)
async def test_a_binding_that_makes_no_sense_is_refused(given: dict[str, Any], words: str) -> None:
    async with MemoryApp() as app:
        app.bind("email", send, names="taken")
        with pytest.raises(InvalidOptionError, match=words):
            app.bind("email", send, **given)


async def test_what_contradicts_another_binding_is_refused() -> None:
    async with MemoryApp() as app:
        app.bind("email", send, names="a", concurrency=2)
        app.bind("email", send, names="b", concurrency=2)
        app.bind("email", send, names="c")
        with pytest.raises(InvalidOptionError, match=r"concurrency=3: .* says 2 already"):
            app.bind("email", send, names="d", concurrency=3)
        app.bind("email", send)
        with pytest.raises(InvalidOptionError, match="has such a task already"):
            app.bind("email", send)
        with pytest.raises(InvalidOptionError, match="task=5: expected a task"):
            app.bind("email", cast("Task[..., Any]", 5))

        def wants(context: Context) -> Arguments:
            return {}

        with pytest.raises(InvalidOptionError, match="has neither a Context nor"):
            app.bind("other", send, adapter=wants)

        @app.task()
        async def another() -> None: ...

        with pytest.raises(InvalidOptionError, match="or the task that is bound"):
            app.bind("other", send, adapter=another)


async def test_the_largest_payload_is_the_tasks() -> None:
    async with MemoryApp() as app:

        @app.task(max_payload_bytes=20)
        async def small(text: str) -> int:
            return len(text)

        app.bind("q", small, names="x")
        await app.queue("q").add("x", {"text": "short"})
        with pytest.raises(PayloadTooLargeError):
            await app.queue("q").add("x", {"text": "x" * 30})
        job = await stored(app, "q", "x", '{"text": "a longer one of another producer"}')
        await app.run_until_idle()
        assert (await job.info()).result == 32


async def test_a_bound_task_is_no_task_of_its_own_for_include_and_bound() -> None:
    async with MemoryApp() as app:
        app.bind("mail", send, names="email.send", adapter=from_chat)  # its own queue and name
        with pytest.raises(InvalidOptionError, match="include its bundle"):
            app.bound(send)
        with pytest.raises(InvalidOptionError, match="has a task of this name already"):
            app.include(mail)


async def test_claims_by_hand_are_given_the_stored_payload() -> None:
    async with MemoryApp() as app:
        app.bind("email", send, names="x", adapter=from_shop, result=accepted)
        added = await app.queue("email").add("x", {"recipients": ["a"]})
        async with app.claims("email") as claims:
            job = await claims.claim(wait=10)
            assert job is not None
            assert job.data == {"recipients": ["a"]}
            await job.complete({"success": True})
        assert (await added.info()).result == {"success": True}


async def test_a_bound_task_makes_nodes_of_flows() -> None:
    async with MemoryApp() as app:
        app.bind("email", send, names="x", adapter=from_chat)
        task = app.find_task("x", "email")
        fields = {"to": "@", "subject": "parent", "body": ""}
        child = task.node(**{**fields, "subject": "child"})
        flow = await app.flows.add(task.node(**fields, children=[child]))
        await app.run_until_idle()
        assert (await flow.result(timeout_s=5))["subject"] == "parent"
        page = await app.queue("email").jobs("completed")
        found = [cast("dict[str, Any]", job.result)["subject"] for job in page.jobs]
        assert sorted(found) == ["child", "parent"]
