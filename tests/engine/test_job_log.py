"""What a worker says of the jobs that it ran, and which job log lines of tasks carry."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.working import ONCE, memory_app, working
from tests.support.waiting import wait_until

from toril import App, Cancel, Context, Fail, JobLogFilter, Retry, RetryPolicy, Snooze
from toril.core.loggers import FACTS
from toril.engine.current_job import ASKED, current_job
from toril.engine.runners.child_logs import (
    MAX_NAME_BYTES,
    MOST_EXTRAS,
    Forwarding,
    LogRecorded,
    levels,
    recorded,
    replay,
)

JOBS = logging.getLogger("toril.jobs")
OWN = logging.getLogger("shop")


@pytest.fixture
def at_info(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything from `info` on is logged."""
    with caplog.at_level(logging.INFO):
        yield caplog


@pytest.fixture
def asked() -> Iterator[None]:
    """Somebody asks which job code works for."""
    before, ASKED.asked = ASKED.asked, True
    yield
    ASKED.asked = before


@pytest.fixture
def not_asked() -> Iterator[None]:
    """Nobody does."""
    before, ASKED.asked = ASKED.asked, False
    yield
    ASKED.asked = before


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return level and event of each line about a job, in order."""
    return [
        (record.levelname, getattr(record, FACTS)["event"])
        for record in caplog.records
        if record.name == "toril.jobs"
    ]


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (None, [("INFO", "completed")]),
        (ValueError("no"), [("WARNING", "retried"), ("ERROR", "failed")]),
        (Retry(after_s=0), [("WARNING", "retried"), ("ERROR", "failed")]),
        (Fail("no"), [("ERROR", "failed")]),
        (Cancel(), [("INFO", "failed")]),
        (Snooze(after_s=3600), [("INFO", "snoozed")]),
    ],
)
async def test_each_attempt_is_one_line(
    error: Exception | None, lines: list[tuple[str, str]], at_info: pytest.LogCaptureFixture
) -> None:
    app = memory_app()

    @app.task(queue="mail", retry=RetryPolicy(max_attempts=2, base_s=0.001))
    async def send() -> None:
        if error is not None:
            raise error

    async with app:
        job = await send.enqueue()
        async with working(app):
            await wait_until(lambda: len(told(at_info)) == len(lines), what="the lines")

    assert told(at_info) == lines
    record = next(one for one in at_info.records if one.name == "toril.jobs")
    facts = getattr(record, FACTS)
    assert (facts["queue"], facts["job_id"], facts["task"], facts["attempt"]) == (
        "mail", job.id, "send", 1,
    )  # fmt: skip
    assert 0 <= facts["duration_s"] < 10
    last = [one for one in at_info.records if one.name == "toril.jobs"][-1]
    # The error itself, for those who send errors elsewhere; not of what tasks say on purpose.
    assert (last.exc_info is not None and last.exc_info[1] is error) is isinstance(
        error, ValueError
    )


async def test_job_that_is_given_back_is_told(at_info: pytest.LogCaptureFixture) -> None:
    app = memory_app()
    begun = asyncio.Event()

    @app.task(queue="mail", retry=ONCE)
    async def hold() -> None:
        begun.set()
        await asyncio.Event().wait()

    async with app:
        await hold.enqueue()
        async with working(app):
            await begun.wait()
    assert told(at_info) == [("INFO", "released")]


@pytest.mark.parametrize(
    ("level", "wanted"),
    [
        (logging.DEBUG, {"active", "completed", "failed", "retried"}),
        (logging.INFO, {"completed", "failed", "retried"}),
        (logging.WARNING, {"failed", "retried"}),
        (logging.ERROR, {"failed"}),
        (logging.CRITICAL, set()),
    ],
)
async def test_nothing_is_gathered_that_the_level_does_not_let_through(
    level: int, wanted: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A job that went well costs what it costs without a log: `wanted` is all that is asked."""
    app = memory_app()

    @app.task(queue="mail")
    async def send() -> None: ...

    with caplog.at_level(level, "toril.jobs"):
        async with app:
            await send.enqueue()
            await app.worker().run(until_idle=True)
    assert app._hooks.wanted & {"active", "completed", "failed", "retried"} == wanted
    events = {event for _, event in told(caplog)}
    assert events == wanted & {"active", "completed"}


async def test_hook_that_listens_for_a_while_leaves_the_log_its_facts(
    at_info: pytest.LogCaptureFixture,
) -> None:
    app = memory_app()

    @app.task(queue="mail")
    async def send() -> None: ...

    async with app, working(app):
        with app._hooks.listening("completed", lambda event: None):
            pass
        await (await send.enqueue()).result(timeout_s=60)
        await wait_until(lambda: told(at_info), what="the line")


@pytest.mark.usefixtures("asked")
async def test_log_lines_carry_their_job_wherever_they_are_written(
    at_info: pytest.LogCaptureFixture,
) -> None:
    app = memory_app()
    at_info.handler.addFilter(JobLogFilter())

    async def helper() -> None:
        OWN.info("helper")

    @app.task(queue="mail")
    async def on_the_loop() -> None:
        OWN.info("loop")
        await asyncio.gather(helper())
        await asyncio.to_thread(OWN.info, "other thread")

    @app.task(queue="mail")
    def in_a_thread() -> None:
        OWN.info("thread")
        bare = threading.Thread(target=OWN.info, args=("bare thread",))
        bare.start()
        bare.join()

    async with app:
        first, second = await on_the_loop.enqueue(), await in_a_thread.enqueue()
        await app.worker().run(until_idle=True)
        OWN.info("outside", extra={"task": "of its own"})

    found = {
        one.getMessage(): (one.__dict__["job"], one.__dict__["queue"], one.__dict__["attempt"])
        for one in at_info.records
        if one.name == "shop"
    }
    loop = (f"job {first.id} of mail (on_the_loop)", "mail", 1)
    assert found == {
        "loop": loop,
        "helper": loop,
        "other thread": loop,
        "thread": (f"job {second.id} of mail (in_a_thread)", "mail", 1),
        "bare thread": ("", "", 0),  # a thread of the task's own begins without context variables
        "outside": ("", "", 0),
    }
    assert at_info.records[-1].__dict__["task"] == "of its own"


@pytest.mark.usefixtures("not_asked")
async def test_which_job_it_is_costs_nothing_unless_somebody_asks() -> None:
    app = memory_app()
    seen: list[object] = []

    @app.task(queue="mail")
    async def send() -> None:
        seen.append(current_job())

    async with app:
        await send.enqueue()
        await app.worker().run(until_idle=True)
    assert seen == [None]


@pytest.mark.usefixtures("asked")
async def test_job_ends_with_its_attempt() -> None:
    app = memory_app()
    seen: list[str] = []

    @app.task(queue="mail")
    def send(ctx: Context) -> None:
        seen.append(f"{current_job()} {ctx.job_id}")

    async with app:
        await send.enqueue_many([{}] * 3)
        await app.worker(concurrency=1).run(until_idle=True)
        assert current_job() is None
    assert seen == [f"job {number} of mail (send) {number}" for number in (1, 2, 3)]


# Records of child processes.


def record(**fields: Any) -> logging.LogRecord:
    """Return a record as a child might make one."""
    known = {"name": "shop", "levelno": logging.INFO, "msg": "hello %s", "args": ("Jo",)}
    return logging.makeLogRecord({**known, **fields})


def test_record_of_a_child_arrives_as_it_was(at_info: pytest.LogCaptureFixture) -> None:
    said = recorded(
        record(
            pathname="/srv/shop/mail.py", lineno=7, funcName="send", threadName="MainThread",
            tenant="acme", size=3, odd=object, facts={"a": [1]},
        )
    )  # fmt: skip
    replay(said, 4711)

    (seen,) = at_info.records
    assert (seen.name, seen.getMessage(), seen.process) == ("shop", "hello Jo", 4711)
    assert (seen.filename, seen.module, seen.lineno, seen.funcName) == (
        "mail.py", "mail", 7, "send",
    )  # fmt: skip
    assert (seen.__dict__["tenant"], seen.__dict__["size"]) == ("acme", 3)
    assert seen.__dict__["facts"] == {"a": "[1]"}
    assert logging.Formatter("%(levelname)s %(message)s").format(seen) == "INFO hello Jo"


def test_traceback_of_a_child_is_shown_by_any_formatter(at_info: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError("lost")
    except KeyError as error:
        said = recorded(record(exc_info=(KeyError, error, error.__traceback__)))
    replay(said, 1)

    assert "KeyError: 'lost'" in logging.Formatter("%(message)s").format(at_info.records[0])


def test_child_cannot_pass_a_record_off_as_another(at_info: pytest.LogCaptureFixture) -> None:
    said = LogRecorded(
        name="x" * 5_000, level=10**6, text="t", at_s=1.0, path="", line=0, function="", thread="",
        extra={"name": "toril", "levelno": 0, "process": 1, "exc_info": 3, "mine": 1},
    )  # fmt: skip
    replay(said, 4711)

    (seen,) = at_info.records
    assert len(seen.name) <= MAX_NAME_BYTES
    assert (seen.levelno, seen.process, seen.exc_info) == (1_000, 4711, None)
    many = recorded(record(**{f"extra{number}": number for number in range(500)}))
    assert len(many.extra) <= MOST_EXTRAS


def test_handler_that_raises_does_not_reach_the_loop(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise SystemExit(3)

    handler = Broken()
    OWN.addHandler(handler)
    try:
        replay(recorded(record(levelno=logging.ERROR)), 1)
    finally:
        OWN.removeHandler(handler)
    assert "SystemExit" in capsys.readouterr().err


def test_line_that_the_worker_does_not_hear_goes_to_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Forwarding(lambda said: False).emit(record(levelname="WARNING"))
    assert capsys.readouterr().err == "warning shop: hello Jo\n"


def test_children_learn_the_levels_of_the_worker() -> None:
    one = logging.getLogger("shop.of.levels")
    one.setLevel(logging.DEBUG)
    try:
        found = levels()
    finally:
        one.setLevel(logging.NOTSET)
    assert found["shop.of.levels"] == logging.DEBUG
    assert found[""] == logging.getLogger().level
    assert "shop" not in found


def test_app_of_this_test_has_no_hooks() -> None:
    assert App("sqlite://:memory:")._hooks.wanted == set()
