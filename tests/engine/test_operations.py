"""Whoever operates is named in the log and to the hook `operated`, and so is why."""

from __future__ import annotations

import ast
import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import toril
from toril import (
    App,
    Deduplication,
    HookEvent,
    InvalidOptionError,
    JobNotFoundError,
    JobOptions,
    Node,
    RetryPolicy,
    State,
    acting,
)
from toril.engine.handle import Job
from toril.engine.job_operator import JobOperator
from toril.engine.operator import Operator
from toril.engine.options import RateLimit
from toril.engine.queue import Queue
from toril.testing import MemoryApp

Told = list[HookEvent]


@pytest.fixture
def told(toril_app: MemoryApp) -> Told:
    """What the hook `operated` was told."""
    events: Told = []
    toril_app.on("operated")(events.append)
    return events


def verbs(kind: type) -> set[str]:
    """Return the names of the methods that operate; their twins for plain code call them."""
    names = {name for name in vars(kind) if not name.startswith("_") and callable(vars(kind)[name])}
    return {name for name in names if not name.endswith("_sync")}


QUEUE_VERBS: list[tuple[str, Callable[[Queue], Awaitable[object]], dict[str, Any], int | None]] = [
    ("pause", lambda q: q.pause(), {}, None),
    ("resume", lambda q: q.resume(), {}, None),
    ("set_concurrency", lambda q: q.set_concurrency(3), {"limit": 3}, None),
    (
        "set_rate",
        lambda q: q.set_rate(RateLimit(limit=5, window_s=2.0)),
        {"limit": 5, "window_s": 2.0},
        None,
    ),
    ("hold", lambda q: q.hold(1.5), {"duration_s": 1.5}, None),
    ("set_history", lambda q: q.set_history(False), {"kept": False}, None),
    ("set_events", lambda q: q.set_events("none"), {"told": "none"}, None),
    ("set_dead_letter", lambda q: q.set_dead_letter("dead"), {"dead_letter": "dead"}, None),
    (
        "release_deduplication",
        lambda q: q.release_deduplication("the report"),
        {"deduplication_id": "the report"},
        None,
    ),
    ("drain", lambda q: q.drain(delayed=True), {"delayed": True}, 3),
    (
        "clean",
        lambda q: q.clean("delayed", limit=7),
        {"state": "delayed", "older_than_s": 0.0, "limit": 7},
        1,
    ),
    (
        "retry_all",
        lambda q: q.retry_all(limit=4),
        {"state": "failed", "limit": 4, "reset_attempts": True},
        0,
    ),
    ("promote_all", lambda q: q.promote_all(), {"limit": None}, 1),
    ("obliterate", lambda q: q.obliterate(force=True), {"force": True}, 3),
]

JOB_VERBS: list[tuple[str, Callable[[Job[Any]], Awaitable[object]], dict[str, Any]]] = [
    ("cancel", lambda job: job.cancel("no use"), {"reason": "no use"}),
    ("remove", lambda job: job.remove(), {}),
    ("promote", lambda job: job.promote(), {}),
    ("change_delay", lambda job: job.change_delay(5), {"delay_s": 5.0}),
    ("change_priority", lambda job: job.change_priority(3), {"priority": 3, "lifo": False}),
    ("update_data", lambda job: job.update_data({"secret": 1}), {}),
    ("set_progress", lambda job: job.set_progress(5), {}),
    ("add_log", lambda job: job.add_log("secret"), {}),
]


async def queue_with_three_jobs(app: App, told: Told) -> tuple[Queue, Job[Any]]:
    """Return a queue that is paused, and its delayed job."""
    queue = app.queue("mail")
    await queue.add("now")
    await queue.add("report", options=JobOptions(deduplication=Deduplication("the report")))
    job = await queue.add("later", options=JobOptions(delay_s=60))
    await queue.pause()
    told.clear()
    return queue, job


@pytest.mark.parametrize(("verb", "call", "arguments", "count"), QUEUE_VERBS)
async def test_what_is_done_to_a_queue_is_told_once(
    toril_app: MemoryApp,
    told: Told,
    verb: str,
    call: Callable[[Queue], Awaitable[object]],
    arguments: dict[str, Any],
    count: int | None,
) -> None:
    queue, _ = await queue_with_three_jobs(toril_app, told)

    with acting("jo@example.com", "the deploy"):
        await call(queue)

    (event,) = told
    assert (event.name, event.verb, event.queue, event.job_id) == ("operated", verb, "mail", None)
    assert (event.arguments, event.count) == (arguments, count)
    assert (event.actor, event.reason, event.error) == ("jo@example.com", "the deploy", None)


@pytest.mark.parametrize(("verb", "call", "arguments"), JOB_VERBS)
async def test_what_is_done_to_a_job_is_told_once(
    toril_app: MemoryApp,
    told: Told,
    verb: str,
    call: Callable[[Job[Any]], Awaitable[object]],
    arguments: dict[str, Any],
) -> None:
    _, job = await queue_with_three_jobs(toril_app, told)

    await call(job)

    (event,) = told
    assert (event.verb, event.queue, event.job_id) == (verb, "mail", job.id)
    assert (event.arguments, event.count) == (arguments, None)
    assert (event.actor, event.reason, event.error) == ("program", None, None)


async def test_untying_a_job_from_its_parent_is_told(toril_app: MemoryApp, told: Told) -> None:
    flow = await toril_app.flows.add(Node("mail", "parent", children=[Node("mail", "child")]))
    (node,) = (await flow.tree()).children
    job = toril_app.queue("mail").job(node.id)

    assert await job.leave_flow()

    assert [(event.verb, event.job_id) for event in told] == [("leave_flow", node.id)]
    assert await toril_app.queue("mail").job(flow.id).state() is State.WAIT


async def test_retrying_a_job_is_told(toril_app: MemoryApp, told: Told) -> None:
    @toril_app.task(queue="mail")
    async def send() -> None: ...

    job = await send.enqueue()
    await toril_app.run_until_idle()

    await job.retry(reset_attempts=False)

    (event,) = told
    assert (event.verb, event.job_id, event.arguments) == (
        "retry", job.id, {"reset_attempts": False},
    )  # fmt: skip


def test_no_verb_is_left_out_of_these_tests() -> None:
    assert {verb for verb, *_ in QUEUE_VERBS} == verbs(Operator)
    assert {verb for verb, *_ in JOB_VERBS} | {"retry", "leave_flow"} == verbs(JobOperator)


def test_handles_operate_by_no_other_way() -> None:
    """`handle.py` went to the store by itself, so nobody could have said who did it."""
    looks = {
        "add", "by_priority", "check", "get", "holder", "list", "now_ms", "page", "queue", "queues",
        "read", "rule", "running",
    }  # fmt: skip
    package = Path(str(toril.__file__)).parent
    found = set()
    for name in ("engine/handle.py", "engine/queue.py", "store_access.py", "store_looks.py"):
        tree = ast.parse((package / name).read_text("utf-8"))
        called = {
            node.func.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Attribute)  # backend.role.method()
            and ("backend" in ast.dump(node.func.value) or "_open" in ast.dump(node.func.value))
        }
        assert called <= looks, name
        found |= called
    assert found  # it does recognise calls of the store


async def test_what_changes_nothing_is_not_told(
    toril_app: MemoryApp, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "toril.operator")
    queue = toril_app.queue("mail")

    assert not await queue.job("gone").remove()
    assert not await queue.release_deduplication("nobody's")
    with pytest.raises(JobNotFoundError):
        await queue.job("gone").promote()
    with pytest.raises(InvalidOptionError):
        await queue.clean("completed", limit=-1)

    assert told == []
    assert caplog.records == []


async def test_what_is_cut_short_is_told_with_what_was_done(
    toril_app: MemoryApp, told: Told
) -> None:
    queue = toril_app.queue("mail")
    await queue.add_many([("send", None)] * 1100)

    def give_up(done: int) -> None:
        if done == 1000:
            raise KeyError("enough")

    with pytest.raises(KeyError):
        await queue.drain(progress=give_up)

    (event,) = told
    assert (event.verb, event.count) == ("drain", 1000)
    assert isinstance(event.error, KeyError)


async def test_log_names_who_what_and_why_on_one_line(
    toril_app: MemoryApp, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes from outside is quoted, so that it cannot forge a line."""
    caplog.set_level(logging.INFO, "toril.operator")
    queue = toril_app.queue("mail")
    job = await queue.add("send")

    with acting("jo", "a\nb"):
        await job.cancel()
        await queue.clean("failed")
    await queue.pause()

    clean = "clean(state='failed', older_than_s=0.0, limit=None)"
    assert [record.getMessage() for record in caplog.records] == [
        f"jo: cancel(reason='a\\nb') of job {job.id!r} in queue 'mail'; reason: 'a\\nb'",
        f"jo: {clean} in queue 'mail', 1 job; reason: 'a\\nb'",
        "program: pause() in queue 'mail'",
    ]


async def test_log_counts_jobs_and_names_what_cut_it_short(
    toril_app: MemoryApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "toril.operator")
    queue = toril_app.queue("mail")
    await queue.add_many([("send", None)] * 1100)

    def give_up(done: int) -> None:
        if done == 1000:
            raise KeyError("enough")

    with pytest.raises(KeyError):
        await queue.drain(progress=give_up)

    (record,) = caplog.records
    assert record.getMessage() == (
        "program: drain(delayed=False) in queue 'mail', 1,000 jobs, cut short by KeyError"
    )


async def test_reason_is_kept_with_a_job_that_is_cancelled(toril_app: MemoryApp) -> None:
    queue = toril_app.queue("mail")
    first, second, third = await queue.add_many([("send", None)] * 3)

    with acting("jo", "the user left"):
        await first.cancel()
        await second.cancel("too late")
    await third.cancel()

    reasons = [(await job.info()).failed_reason for job in (first, second, third)]
    assert reasons == ["the user left", "too late", "cancelled"]


async def test_innermost_actor_counts_and_tasks_inherit_it(
    toril_app: MemoryApp, told: Told
) -> None:
    queue = toril_app.queue("mail")

    with acting("outer", "why"):
        with acting("inner"):
            await asyncio.create_task(queue.pause())
        await queue.resume()

    async def other() -> None:
        with acting("other"):
            await asyncio.sleep(0)
            await queue.pause()

    await asyncio.gather(other(), queue.resume())

    said = [(event.verb, event.actor, event.reason) for event in told]
    assert said[:2] == [("pause", "inner", None), ("resume", "outer", "why")]
    assert sorted(said[2:]) == [("pause", "other", None), ("resume", "program", None)]


@pytest.mark.parametrize("actor", ["", "a\nb", "\x1b[31m", "x" * 201])
def test_actor_that_could_not_be_shown_is_refused(actor: str) -> None:
    with pytest.raises(InvalidOptionError, match=r"actor=.*expected 1 to 200 characters"):
        with acting(actor):
            raise AssertionError("it was let in")


def test_longest_actor_is_let_in() -> None:
    with acting("x" * 200):
        pass


@pytest.mark.parametrize(("actor", "reason"), [(7, None), ("jo", 7), ("jo", "\ud800"), (None, "")])
def test_actor_and_reason_are_texts(actor: Any, reason: Any) -> None:
    with pytest.raises(InvalidOptionError, match="expected text"):
        with acting(actor, reason):
            raise AssertionError("it was let in")


async def test_long_reason_is_cut(toril_app: MemoryApp, told: Told) -> None:
    with acting("jo", "x" * 100_000):
        await toril_app.queue("mail").pause()

    assert told[0].reason is not None
    assert len(told[0].reason) < 17_000


async def test_operation_ends_when_its_hooks_have(toril_app: MemoryApp) -> None:
    """An audit trail has the line before the caller goes on."""
    written: list[str | None] = []

    @toril_app.on("operated")
    async def write(event: HookEvent) -> None:
        await asyncio.sleep(0.01)
        written.append(event.verb)

    @toril_app.on("operated")
    async def broken(event: HookEvent) -> None:
        raise ValueError("no disk")

    await toril_app.queue("mail").pause()

    assert written == ["pause"]


async def test_worker_says_nothing_of_what_it_does_by_itself(
    toril_app: MemoryApp, told: Told
) -> None:
    @toril_app.task(queue="mail", retry=RetryPolicy(max_attempts=2, base_s=0.01))
    async def send() -> None:
        raise ValueError

    await send.enqueue()
    await toril_app.run_until_idle()

    assert told == []


async def test_giving_a_worker_up_for_dead_is_told(toril_app: MemoryApp, told: Told) -> None:
    with acting("supervisor", "killed by SIGKILL"):
        await toril_app.declare_dead("w-1")

    (event,) = told
    assert (event.verb, event.arguments, event.count, event.queue) == (
        "declare_dead", {"worker_id": "w-1", "max_stalled": 1}, 0, None,
    )  # fmt: skip


async def test_moving_queues_is_told_once_with_all_jobs(
    toril_app: MemoryApp, told: Told, tmp_path: Path
) -> None:
    await toril_app.queue("mail").add_many([("send", None)] * 3)
    await toril_app.queue("sms").add("send")

    async with App(f"sqlite:///{tmp_path}/there.db") as there:
        await toril_app.migrate_to(there, dry_run=True)
        assert told == []
        await toril_app.migrate_to(there)

        (event,) = told
        assert (event.verb, event.count) == ("migrate_to", 4)
        assert event.arguments == {"target": there.backend().url, "queues": None, "force": False}
