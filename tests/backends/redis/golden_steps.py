"""What we do for each recorded step, what we do differently on purpose, what we have no word for.

A driver does all that lies between the step before and this one, as `golden/capture.mjs` does it.
It returns what the recording's result is compared with; `UNSPOKEN` where there is nothing. The file
is long because it is a table: an entry for each step of each recording.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from tests.backends.redis.replaying import NO_LIMIT, UNSPOKEN, Q, Refused, Replay, Tree

from toril.core.errors import InvalidOptionError
from toril.core.ids import check_queue_name
from toril.engine.flow import ParentRef
from toril.engine.flow_tree import read_tree
from toril.engine.info import QueueInfo
from toril.engine.options import JobOptions
from toril.engine.schedules.slots import Timing
from toril.engine.states import State
from toril.observability.prometheus import bullmq_metrics, exposition

Driver = Callable[[Replay], Awaitable[Any]]
DRIVERS: dict[tuple[str, str], Driver] = {}


class Different(NamedTuple):
    """A step that we do in another way."""

    reason: str
    places: tuple[str, ...]
    """All that differs after it: keys, fields, streams, the answer."""


_ROOM = "When a limit changes there may be room: workers that sleep are told."

DIFFERENT = {
    ("01-add-standard", "allowed: exactly two colons"): Different(
        "We refuse every ':' in an id: BullMQ cuts keys at colons, and allows two of them only for"
        " ids of its version 3.",
        (
            "bull:q1:a:b:c",
            "bull:q1:id is",
            "bull:q1:wait is",
            "bull:q1:events is",
            "new in bull:q1:events",
            "answer",
        ),
    ),
    ("02-add-delayed", "promoteJobs: everything"): Different(
        "A promoted job's delay is over, so its field says 0, as after the promotion of one job.",
        ("bull:q1:1 is delay",),
    ),
    ("06-pause-resume", "left-over v5 paused list (head x3,x2,x1) + a waiting job"): Different(
        "We refuse to add to a queue whose jobs version 5 has set aside: its resume would overwrite"
        " them.",
        (
            "bull:q1:5",
            "bull:q1:id is",
            "bull:q1:wait",
            "bull:q1:marker is",
            "bull:q1:events is",
            "new in bull:q1:events",
            "answer",
        ),
    ),
    ("09-stalled", "complete after the lock was lost"): Different(
        "A lease that has ended holds as long as nobody took the job back: it did run to its end.",
        (
            "bull:q1:2 is atm",
            "bull:q1:2 is finishedOn",
            "bull:q1:2 is returnvalue",
            "bull:q1:active",
            "bull:q1:completed",
            "bull:q1:events is",
            "new in bull:q1:events",
            "answer",
        ),
    ),
    ("10-flow", "completing the parent with pending children"): Different(
        "An outcome is always final: a parent that ends before its children fails, and says why.",
        (
            "bull:parents:P is atm",
            "bull:parents:P is failedReason",
            "bull:parents:P is finishedOn",
            "bull:parents:P:lock",
            "bull:parents:active",
            "bull:parents:failed",
            "bull:parents:events is",
            "new in bull:parents:events",
            "answer",
        ),
    ),
    ("19-bulk-moves", "completed child C1 attached to a new parent"): Different(
        "We refuse a tree whose child belongs to another parent that is there. BullMQ adds it, and"
        " its parent waits for ever.",
        (
            "bull:q1:P3",
            "bull:q1:events is",
            "bull:q1:id is",
            "bull:q1:waiting-children",
            "bull:q2:id is",
            "new in bull:q1:events",
            "answer",
        ),
    ),
    ("16-update-remove-clean", "data"): Different(
        "The payload of a job that a worker holds does not change under it.",
        ("bull:q1:1 is data v", "answer"),
    ),
    ("18-numbers-and-unicode", "fraction delay"): Different(
        "Times are whole milliseconds.",
        (
            "bull:q1:2 is delay",
            "bull:q1:2 is opts delay",
            "bull:q1:delayed is",
            "bull:q1:marker is",
            "new in bull:q1:events",
        ),
    ),
    ("18-numbers-and-unicode", "huge numbers in opts"): Different(
        "Options are stored as the producer wrote them; Node's pass through Lua, which rounds.",
        ("bull:q1:3 is opts sizeLimit",),
    ),
    ("18-numbers-and-unicode", "unknown option, null, empty object, empty array"): Different(
        "Options are stored as the producer wrote them; Node's pass through Lua, which knows no"
        " null and no empty array.",
        ("bull:q1:5 is opts custom a", "bull:q1:5 is opts custom b", "bull:q1:5 is opts nul"),
    ),
    ("19-bulk-moves", "retryJobs failed"): Different(
        "A retried job keeps its priority, also when many are retried at once.",
        ("bull:q1:pc is", "bull:q1:prioritized", "bull:q1:wait is"),
    ),
    ("19-bulk-moves", "promoteJobs of a delayed prioritized job: goes to wait"): Different(
        "A promoted job keeps its priority, also when many are promoted at once, and its delay is"
        " over.",
        ("bull:q1:6 is delay", "bull:q1:pc is", "bull:q1:prioritized", "bull:q1:wait"),
    ),
    ("19-bulk-moves", "remove C2: releases the priority parent"): Different(
        "A released parent keeps its priority, also when its last child was removed.",
        ("bull:q1:pc is", "bull:q1:prioritized", "bull:q1:wait"),
    ),
    ("20-getters", "prometheus"): Different(
        "A queue whose workers keep no metrics has completed what it still has, at least; and the"
        " texts for people are our own.",
        (
            'answer bullmq_job_completed_total{queue="q1"}',
            "answer # HELP bullmq_job_completed_total",
            "answer # HELP bullmq_job_count",
            "answer # HELP bullmq_job_failed_total",
        ),
    ),
    ("22-markers", "given back with a priority"): Different(
        "Workers that sleep are told of every job that comes back, also of one with a priority.",
        ("bull:q1:marker",),
    ),
    ("22-markers", "another priority"): Different(
        "Workers were told of a job in line when it came there.",
        ("bull:q1:marker",),
    ),
    ("22-markers", "all promoted"): Different(
        "A promoted job keeps its priority, also when many are promoted at once, and its delay is"
        " over.",
        (
            "bull:q1:5 is delay",
            "bull:q1:6 is delay",
            "bull:q1:pc is",
            "bull:q1:prioritized is",
            "bull:q1:wait is",
        ),
    ),
    ("22-markers", "concurrency set"): Different(_ROOM, ("bull:q1:marker",)),
    ("22-markers", "concurrency lifted"): Different(_ROOM, ("bull:q1:marker",)),
    ("22-markers", "rate limit lifted"): Different(_ROOM, ("bull:q1:marker",)),
    ("23-places", "given back beside others of its priority"): Different(
        "In front of a priority is just before its first job, so that several that come back keep"
        " their order.",
        ("bull:q1:prioritized is",),
    ),
    ("23-places", "stalled beside others of its priority"): Different(
        "A stalled job goes to the front of its own priority, not before jobs that outrank it.",
        ("bull:q1:prioritized is", "bull:q1:wait"),
    ),
}
"""Steps after which our state or answer is not BullMQ's, why, and where."""

_TOLD = "Slots that nobody took in time are told, by the event `missed`."
_NOT_DRAINED = (
    "A queue with delayed jobs is not drained: the schedule's next one is there.",
    ("bull:q1:events is", "new in bull:q1:events"),
)
DIFFERENT |= {
    ("13-scheduler-every", "change every to 10000"): Different(
        "The offset follows from the first slot, so that all later ones keep their distance to it;"
        " BullMQ keeps the one of the span before.",
        ("bull:q1:repeat:sch is offset",),
    ),
    ("13-scheduler-every", "complete"): Different(*_NOT_DRAINED),
    ("14-scheduler-cron", "complete it"): Different(*_NOT_DRAINED),
    ("14-scheduler-cron", "next midnight: take twice"): Different(
        f"{_TOLD} {_NOT_DRAINED[0]}", ("new in bull:q1:events",)
    ),
    ("14-scheduler-cron", "next midnight again"): Different(
        f"{_TOLD} {_NOT_DRAINED[0]}", ("new in bull:q1:events",)
    ),
}

WITHOUT_COUNTERPART: dict[tuple[str, str], str] = {}
"""Steps that cannot be said in the words of the contract, and why. None are left."""


def step(file: str, *titles: str) -> Callable[[Driver], Driver]:
    """Say that a function drives steps of a file."""

    def register(driver: Driver) -> Driver:
        for title in titles:
            assert (file, title) not in DRIVERS, title
            DRIVERS[file, title] = driver
        return driver

    return register


def adds(file: str, title: str, name: str = "a", data: object = None, **options: Any) -> None:
    """Say that a step adds one job."""

    @step(file, title)
    async def add(we: Replay) -> Any:
        return await we.add(name, data, **options)


async def nothing(we: Replay) -> Any:
    """Do nothing: the state is what the step is about."""
    return UNSPOKEN


# 01: add

DRIVERS["01-add-standard", "queue object created"] = nothing
adds("01-add-standard", "first job", "paint", {"colour": "red", "n": 1})
adds(
    "01-add-standard",
    "second job, some options",
    "paint",
    [1, "x", None],
    attempts=3,
    backoff=1000,
    removeOnComplete=True,
    removeOnFail={"age": 3600, "count": 10},
    keepLogs=5,
    stackTraceLimit=2,
    sizeLimit=1000,
)
adds("01-add-standard", "LIFO job", "lifo", {}, lifo=True)
adds("01-add-standard", "custom id", "c", "text", jobId="my-id")
adds("01-add-standard", "same custom id again", "c", "other", jobId="my-id")
adds("01-add-standard", "data undefined", "u")
adds("01-add-standard", "invalid: integer custom id", "x", jobId="77")
adds("01-add-standard", "invalid: colon in id", "x", jobId="a:b")
adds("01-add-standard", "invalid: id 0", "x", jobId="0")
adds("01-add-standard", "allowed: exactly two colons", "x", jobId="a:b:c")


@step("01-add-standard", "bulk of two")
async def add_two(we: Replay) -> Any:
    return [await we.add("b1"), await we.add("b2", priority=4)]


# 02: delayed

adds("02-add-delayed", "delay 5000", "d", delay=5000)
adds("02-add-delayed", "same due millisecond", "d", delay=5000)
adds("02-add-delayed", "earlier due time", "d", delay=1000)
adds("02-add-delayed", "delayed + priority", "d", delay=2000, priority=7)


@step("02-add-delayed", "own timestamp")
async def add_from_the_past(we: Replay) -> Any:
    return await we.add("d", delay=500, timestamp=we.clock.now_ms() - 100)


@step("02-add-delayed", "changeDelay job 1 to 9000")
async def change_delay(we: Replay) -> Any:
    return await we.refused(we.backend.jobs.change_delay(Q, "1", delay_ms=9000))


@step("02-add-delayed", "promote job 2", "promote job 2 again")
async def promote_2(we: Replay) -> Any:
    return await we.refused(we.backend.jobs.promote(Q, "2"))


@step("02-add-delayed", "promote prioritized job 4")
async def promote_4(we: Replay) -> Any:
    return await we.refused(we.backend.jobs.promote(Q, "4"))


@step("02-add-delayed", "take at T0+1000: due jobs are promoted first")
@step("03-prioritized", "take one (wait list first)")
@step("04-take-complete", "take from empty")
@step("05-fail-retry", "take again when due")
@step("06-pause-resume", "take while paused")
@step("08-global-concurrency", "take while maxed")
async def take(we: Replay) -> Any:
    return await we.take()


@step("02-add-delayed", "promoteJobs: everything")
async def promote_all(we: Replay) -> Any:
    await we.backend.bulk.promote(Q, limit=1000)
    return UNSPOKEN


# 03: prioritized

adds("03-prioritized", "priority 5", "p", priority=5)
adds("03-prioritized", "priority 1", "p", priority=1)
adds("03-prioritized", "priority 5 again", "p", priority=5)
adds("03-prioritized", "priority 2097151", "p", priority=2_097_151)
adds("03-prioritized", "no priority", "p")


@step("03-prioritized", "too big")
async def add_with_too_big_a_priority(we: Replay) -> Any:
    try:
        options = JobOptions(priority=2_097_152)
    except InvalidOptionError as error:
        return Refused(type(error).__name__)
    return await we.add("p", priority=options.priority)


def changes_priority(title: str, job_id: str, priority: int, *, lifo: bool = False) -> None:
    """Say that a step changes the priority of one job."""

    @step("03-prioritized", title)
    async def change(we: Replay) -> Any:
        await we.backend.jobs.change_priority(Q, job_id, priority=priority, lifo=lifo)
        return UNSPOKEN


changes_priority("changePriority 4 -> 2", "4", 2)
changes_priority("changePriority 3 -> 5 lifo", "3", 5, lifo=True)
changes_priority("changePriority 1 -> 0", "1", 0)


@step("03-prioritized", "counts per priority")
async def count_priorities(we: Replay) -> Any:
    priorities = [0, 1, 2, 5]
    found = await we.backend.counts.by_priority(Q, priorities)
    return {str(priority): many for priority, many in zip(priorities, found, strict=True)}


@step("03-prioritized", "take the rest in order")
async def take_the_rest(we: Replay) -> Any:
    return [await we.take_id() for _ in range(5)]


# 04: take, complete


@step("04-take-complete", "three waiting jobs")
async def add_three(we: Replay) -> Any:
    for number, name in enumerate("abc", 1):
        await we.add(name, {"i": number})
    return UNSPOKEN


@step("04-take-complete", "take", "take job 3")
async def take_as_wk(we: Replay) -> Any:
    we.worker = "wk"
    return await we.take()


@step("04-take-complete", "complete and fetch next")
async def complete_and_fetch(we: Replay) -> Any:
    we.worker = "wk"
    return await we.complete("1", {"ok": True}, fetch=True)


@step("04-take-complete", "complete job 2 without fetch")
async def complete_without_fetch(we: Replay) -> Any:
    return await we.complete("2")


@step("04-take-complete", "complete job 2 again")
async def complete_again(we: Replay) -> Any:
    return await we.complete("2", "x", token="tok-1")


@step("04-take-complete", "wrong token")
async def complete_with_wrong_token(we: Replay) -> Any:
    return await we.complete("3", "x", token="other")


@step("04-take-complete", "extend lock")
async def extend_lock(we: Replay) -> Any:
    return await we.extend_lock("3", 60_000)


@step("04-take-complete", "complete last job: drained")
async def complete_last(we: Replay) -> Any:
    return await we.complete("3", "done")


# 05: fail, retry


@step("05-fail-retry", "job taken (attempts 3, exponential 1000)")
async def add_and_take(we: Replay) -> Any:
    await we.add("a", attempts=3, backoff={"type": "exponential", "delay": 1000})
    await we.take()
    return UNSPOKEN


@step("05-fail-retry", "fail 1: delayed 1000")
async def fail_first(we: Replay) -> Any:
    return await we.fail("1", "boom1", retry_ms=1000)


@step("05-fail-retry", "fail 2: delayed 2000, fetch next")
async def fail_second(we: Replay) -> Any:
    return await we.fail("1", "boom2", retry_ms=2000, fetch=True)


@step("05-fail-retry", "fail 3: final")
async def fail_third(we: Replay) -> Any:
    await we.take()
    return await we.fail("1", "boom3")


@step("05-fail-retry", "fail without backoff: straight back to wait")
async def fail_and_retry_at_once(we: Replay) -> Any:
    await we.add("b", attempts=2)
    await we.take()
    return await we.fail("2", "x", retry_ms=0)


@step("05-fail-retry", "unrecoverable error")
async def fail_for_good(we: Replay) -> Any:
    await we.take()
    return await we.fail("2", "stop", kind="UnrecoverableError")


@step("05-fail-retry", "manual retry of job 1", "retry a job that is not failed")
async def retry_1(we: Replay) -> Any:
    return await we.refused(we.backend.jobs.retry(Q, "1", reset_attempts=False))


@step("05-fail-retry", "manual retry of job 2, reset counters")
async def retry_2(we: Replay) -> Any:
    return await we.refused(we.backend.jobs.retry(Q, "2", reset_attempts=True))


@step("05-fail-retry", "prioritized job fails, no attempts left")
async def fail_prioritized(we: Replay) -> Any:
    await we.add("pr", priority=3, attempts=1)
    for _ in range(3):
        await we.take()
    return await we.fail("3", "p")


@step("05-fail-retry", "manual retry of a prioritized job (6.2: wait list, 6.7: prioritized)")
async def retry_3(we: Replay) -> Any:
    return await we.refused(we.backend.jobs.retry(Q, "3", reset_attempts=False))


# 06: pause, resume


@step("06-pause-resume", "two jobs")
async def add_plain_and_prioritized(we: Replay) -> Any:
    await we.add("a")
    await we.add("b", priority=2)
    return UNSPOKEN


@step("06-pause-resume", "pause", "pause again", "pause the drained queue")
async def pause(we: Replay) -> Any:
    await we.backend.limits.pause(Q)
    return UNSPOKEN


@step(
    "06-pause-resume",
    "resume",
    "resume with only a delayed job: marker 1",
    "resume merges the legacy list",
)
async def resume(we: Replay) -> Any:
    await we.backend.limits.resume(Q)
    return UNSPOKEN


adds("06-pause-resume", "add while paused", "c")
adds("06-pause-resume", "add delayed while paused", "d", delay=1000)


@step("06-pause-resume", "counts while paused")
@step("20-getters", "job counts")
async def count(we: Replay) -> Any:
    queue = await we.backend.counts.queue(Q)
    assert queue is not None
    return {_word(state): many for state, many in queue.counts.items()}


@step("06-pause-resume", "drain (not delayed)")
async def drain(we: Replay) -> Any:
    await we.backend.bulk.drain(Q, delayed=False, limit=NO_LIMIT)
    return UNSPOKEN


@step("06-pause-resume", "left-over v5 paused list (head x3,x2,x1) + a waiting job")
async def leave_list_of_version_5(we: Replay) -> Any:
    we.server.command("RPUSH", "bull:q1:paused", "x3", "x2", "x1")
    added = await we.refused(we.add("e"))
    we.server.command("HSET", "bull:q1:meta", "paused", "1")
    return added


# 07: rate limits


def _limited(we: Replay, rate: tuple[int, int] | None) -> Awaitable[Any]:
    we.rate = rate

    async def take() -> Any:
        reply = await we.exchange(queue=Q)
        if reply.claimed:
            return {"id": reply.claimed[0].id, "rateLimited": 0}
        return {"id": 0, "rateLimited": "<ttl>" if reply.next_due_ms else 0}

    return take()


@step("07-rate-limit", "take 1")
async def add_five_and_take(we: Replay) -> Any:
    for number in range(5):
        await we.add("a", {"i": number})
    return await _limited(we, (2, 5000))


@step(
    "07-rate-limit",
    "take 2",
    "take 3: limited",
    "take: global max wins over worker max",
    "take: limited by global",
)
async def take_limited(we: Replay) -> Any:
    return await _limited(we, (2, 5000))


@step("07-rate-limit", "rate limit ttl")
async def read_rate_limit(we: Replay) -> Any:
    queue = await we.backend.counts.queue(Q)
    assert queue is not None
    assert queue.held_ms() == 0, "the limit is the worker's"
    return "<ttl>" if queue.held_ms(2) == 5000 else 0


@step("07-rate-limit", "worker.rateLimit(3000)")
async def hold(we: Replay) -> Any:
    await we.backend.limits.hold(Q, duration_ms=3000)
    return UNSPOKEN


@step("07-rate-limit", "RateLimitError path: job 1 back to wait (tail)")
async def give_back_limited(we: Replay) -> Any:
    assert await we.end("released", "1") is UNSPOKEN
    return UNSPOKEN


@step("07-rate-limit", "removeRateLimitKey")
async def end_hold(we: Replay) -> Any:
    await we.backend.limits.hold(Q, duration_ms=0)
    return UNSPOKEN


@step("07-rate-limit", "setGlobalRateLimit(1, 1000)")
async def set_rate(we: Replay) -> Any:
    await we.backend.limits.set_rate(Q, 1, 1000)
    return UNSPOKEN


@step("07-rate-limit", "removeGlobalRateLimit")
async def lift_rate(we: Replay) -> Any:
    await we.backend.limits.set_rate(Q, None, 1000)
    return UNSPOKEN


# 08: global concurrency


@step("08-global-concurrency", "setGlobalConcurrency(1)")
async def set_concurrency(we: Replay) -> Any:
    await we.backend.limits.set_concurrency(Q, 1)
    return UNSPOKEN


@step("08-global-concurrency", "take")
async def add_two_and_take(we: Replay) -> Any:
    await we.add("a")
    await we.add("b")
    return await we.take()


@step("08-global-concurrency", "(marker consumed) add while maxed: no marker")
async def add_while_maxed(we: Replay) -> Any:
    we.server.command("DEL", "bull:q1:marker")
    return await we.add("c")


@step("08-global-concurrency", "isMaxed")
async def read_maxed(we: Replay) -> Any:
    queue = await we.backend.counts.queue(Q)
    assert queue is not None
    return queue.maxed


@step("08-global-concurrency", "complete with fetch next frees the slot")
async def complete_and_fetch_while_maxed(we: Replay) -> Any:
    return {"next": (await we.complete("1", 1, fetch=True))["nextId"]}


# 09: stalled


def _forget(we: Replay, *suffixes: str) -> None:
    we.server.command("DEL", *(f"bull:q1:{suffix}" for suffix in suffixes))


@step("09-stalled", "job active")
async def add_and_start(we: Replay) -> Any:
    await we.add("a", attempts=5)
    await we.take()
    return UNSPOKEN


@step("09-stalled", "check 1: only marks", "check while stalled-check key lives: no-op")
async def check_stalled(we: Replay) -> Any:
    return await we.check_stalled()


@step("09-stalled", "check 2, lock still held: nothing moved")
async def check_again(we: Replay) -> Any:
    _forget(we, "stalled-check")
    return await we.check_stalled()


@step("09-stalled", "check 3, lock lost: back to wait")
async def check_after_loss(we: Replay) -> Any:
    _forget(we, "stalled-check", "1:lock")
    return await we.check_stalled()


@step("09-stalled", "second stall: over the limit, still goes back to wait but carries defa")
async def stall_again(we: Replay) -> Any:
    await we.take()
    _forget(we, "stalled-check", "1:lock")
    # BullMQ marks the job first and takes it back at the next check; we need no second one.
    found = await we.check_stalled()
    _forget(we, "stalled-check")
    return found + await we.check_stalled()


@step("09-stalled", "taken again")
async def take_stalled(we: Replay) -> Any:
    return await we.take()


@step("09-stalled", "worker fails it without running the processor")
async def fail_stalled(we: Replay) -> Any:
    reason = we.field("1", "defa")
    assert reason is not None
    await we.fail("1", reason, kind="UnrecoverableError")
    return UNSPOKEN


@step("09-stalled", "complete after the lock was lost")
async def complete_without_lock(we: Replay) -> Any:
    await we.add("gone")
    await we.take()
    token = we.lock("2")
    _forget(we, "2:lock")
    return await we.complete("2", 1, token=token)


# 10, 11: flows


@step("10-flow", "add flow")
async def add_flow(we: Replay) -> Any:
    kids = (Tree("kids", "C1", "c1", {"k": 1}), Tree("kids", "C2", "c2", {"k": 2}))
    return await we.flow(Tree("parents", "P", "p", {"p": 1}, kids))


@step("10-flow", "child added while parent is active")
async def add_child(we: Replay) -> Any:
    await we.flow(Tree("kids", "C3", "late"), ParentRef("parents", "P"))
    return "C3"


@step("10-flow", "moveToWaitingChildren")
async def wait_for_children(we: Replay) -> Any:
    return await we.end("waiting_children", "P", queue="parents") is UNSPOKEN


@step("10-flow", "add child of unknown parent")
async def add_child_of_nobody(we: Replay) -> Any:
    return await we.flow(Tree("kids", "x", "x"), ParentRef("parents", "nope"))


@step("10-flow", "child 1 completes")
async def complete_first_child(we: Replay) -> Any:
    await we.take("kids")
    return await we.complete("C1", {"r": 1}, queue="kids")


@step("10-flow", "child 2 completes: parent released")
async def complete_second_child(we: Replay) -> Any:
    await we.take("kids")
    return await we.complete("C2", "two", queue="kids")


@step("10-flow", "children values / dependencies")
async def take_parent(we: Replay) -> Any:
    await we.take("parents")
    deps = await we.dependencies("P", "parents")
    outline = await we.backend.flows.outline("parents", "P")
    counts = {
        "processed": outline.get("completed", 0),
        "unprocessed": outline.get("pending", 0),
        "ignored": outline.get("ignored", 0),
        "failed": outline.get("failed", 0),
    }
    return {"values": deps["processed"], "deps": deps, "counts": counts}


@step("10-flow", "completing the parent with pending children")
async def complete_parent_too_early(we: Replay) -> Any:
    return await we.complete("P", 1, queue="parents")


@step("10-flow", "remove the last pending child: parent released")
async def remove_last_child(we: Replay) -> Any:
    return await we.refused(we.backend.jobs.remove("kids", "C3"))


CHILD_OPTIONS = {
    "continue": "continueParentOnFailure",
    "default": None,
    "fail-parent": "failParentOnFailure",
    "ignore": "ignoreDependencyOnFailure",
    "remove": "removeDependencyOnFailure",
}


def child_fails(mode: str) -> None:
    """Say how we do the steps of one mode of failing children."""
    file = f"11-flow-{mode}"
    option = CHILD_OPTIONS[mode]

    @step(file, "add flow")
    async def add_flow(we: Replay) -> Any:
        said = {} if option is None else {option: True}
        kids = tuple(Tree("kids", job_id, job_id.lower(), options=said) for job_id in ("C1", "C2"))
        await we.flow(Tree("parents", "P", "p", children=kids))
        return UNSPOKEN

    @step(file, "first child fails")
    async def fail_child(we: Replay) -> Any:
        await we.take("kids")
        return await we.fail("C1", "child broke", queue="kids")

    @step(file, "second child completes")
    async def complete_child(we: Replay) -> Any:
        await we.take("kids")
        return await we.complete("C2", "ok", queue="kids")

    @step(file, "parent taken?")
    async def take_parent(we: Replay) -> Any:
        return await we.take("parents")

    @step(file, "retry the failed child")
    async def retry_child(we: Replay) -> Any:
        return await we.refused(we.backend.jobs.retry("kids", "C1", reset_attempts=False))

    if mode == "default":
        return

    @step(file, "parent processed by a worker")
    async def process_parent(we: Replay) -> Any:
        reason = we.field("P", "defa", "parents")
        if reason is None:
            await we.complete("P", "ran", queue="parents")
        else:
            await we.fail("P", reason, kind="UnrecoverableError", queue="parents")
        return {"deps": await we.dependencies("P", "parents")}


for mode in CHILD_OPTIONS:
    child_fails(mode)


# 12: de-duplication


def deduplicates(title: str, name: str, deduplication: dict[str, Any], **options: Any) -> None:
    """Say that a step adds a job that another one may hold up."""
    adds("12-dedup", title, name, {"n": name}, deduplication=deduplication, **options)


_DEBOUNCE = {"id": "e", "replace": True, "ttl": 5000, "extend": True}
_KEEP_LAST = {"id": "k", "keepLastIfActive": True}

deduplicates("simple: first", "s1", {"id": "s"})
deduplicates("simple: second", "s2", {"id": "s"})
deduplicates("ttl: first", "t1", {"id": "t", "ttl": 60_000})
deduplicates("ttl: second", "t2", {"id": "t", "ttl": 60_000})
deduplicates("debounce: first (delay+ttl+extend+replace)", "e1", _DEBOUNCE, delay=5000)
deduplicates("debounce: second replaces", "e2", _DEBOUNCE, delay=5000)
deduplicates("extend without replace: first", "x1", {"id": "x", "ttl": 9000, "extend": True})
deduplicates("extend without replace: second", "x2", {"id": "x", "ttl": 20_000, "extend": True})
deduplicates("keepLast: third overwrites", "k3", _KEEP_LAST, priority=3)
deduplicates("reschedule option (6.7): first", "r1", {"id": "r", "reschedule": True}, delay=5000)
deduplicates("reschedule option (6.7): second", "r2", {"id": "r", "reschedule": True}, delay=9000)


@step("12-dedup", "keepLast: first")
async def take_and_add(we: Replay) -> Any:
    assert await we.take_id() == "7"
    return await we.add("k1", {"n": "k1"}, deduplication=_KEEP_LAST)


@step("12-dedup", "keepLast: active; second stored aside")
async def add_while_the_holder_runs(we: Replay) -> Any:
    assert await we.take_id() == "9"
    return await we.add("k2", {"n": "k2"}, deduplication=_KEEP_LAST)


@step("12-dedup", "removeDeduplicationKey")
async def release(we: Replay) -> Any:
    return int(await we.backend.deduplication.release(Q, "t"))


@step(
    "12-dedup", "simple: completing frees the key", "ttl: completion keeps the key until it expires"
)
async def take_and_complete(we: Replay) -> Any:
    job_id = await we.take_id()
    assert job_id is not None
    return await we.complete(job_id, 1)


@step("12-dedup", "keepLast: completing creates the stored job")
async def complete_with_one_aside(we: Replay) -> Any:
    return await we.complete("9", 1)


@step("12-dedup", "keepLast: job removed clears keys")
async def remove_stored(we: Replay) -> Any:
    first = (await we.ids(State.PRIORITIZED))[0]
    return await we.refused(we.backend.jobs.remove(Q, first))


# 15: metrics, keep policies


async def _one(we: Replay, *, keep: dict[str, int | None] | None = None, **options: Any) -> None:
    we.keep_metrics(5)
    we.keep = {"keep_count": 2, "keep_age_ms": None} if keep is None else keep
    await we.add("m", **options)
    job_id = await we.take_id()
    assert job_id is not None
    if "removeOnFail" in options:
        assert await we.fail(job_id, "f") is UNSPOKEN
    else:
        assert await we.complete(job_id, 1) is UNSPOKEN


@step("15-metrics-keep", "first completion", "one minute later", "three minutes later")
async def complete_one(we: Replay) -> Any:
    await _one(we)
    return UNSPOKEN


@step("15-metrics-keep", "three in the same minute (worker keeps 2)")
async def complete_two(we: Replay) -> Any:
    await _one(we)
    await _one(we)
    return UNSPOKEN


@step("15-metrics-keep", "job-level removeOnComplete true")
async def complete_and_keep_none(we: Replay) -> Any:
    await _one(we, keep={"keep_count": 0}, removeOnComplete=True)
    return UNSPOKEN


@step("15-metrics-keep", "job-level age 100 s")
async def complete_and_keep_young(we: Replay) -> Any:
    await _one(we, keep={"keep_age_ms": 100_000}, removeOnComplete={"age": 100})
    return UNSPOKEN


@step("15-metrics-keep", "failure kept 1")
async def fail_and_keep_one(we: Replay) -> Any:
    await _one(we, keep={"keep_count": 1}, removeOnFail=1)
    await _one(we, keep={"keep_count": 1}, removeOnFail=1)
    return UNSPOKEN


@step("15-metrics-keep", "getMetrics")
async def read_totals(we: Replay) -> Any:
    queue = await we.backend.counts.queue(Q)
    assert queue is not None
    assert (queue.completed_total, queue.failed_total) == (7, 2)
    return UNSPOKEN


# 16: progress, logs, payload, remove, clean, drain, obliterate


@step("16-update-remove-clean", "progress number")
async def start_and_report(we: Replay) -> Any:
    await we.add("a", {"v": 1}, keepLogs=2)
    await we.take()
    await we.say("1", progress=42)
    return UNSPOKEN


@step("16-update-remove-clean", "progress object")
async def report(we: Replay) -> Any:
    await we.say("1", progress={"pct": 1})
    return UNSPOKEN


@step("16-update-remove-clean", "data")
async def change_payload(we: Replay) -> Any:
    return await we.refused(we.backend.jobs.update_data(Q, "1", data='{"v":2}'))


@step("16-update-remove-clean", "three logs, keepLogs 2")
async def log(we: Replay) -> Any:
    return [await we.backend.logs.add(Q, "1", line, keep=2) for line in ("l1", "l2", "l3")]


@step("16-update-remove-clean", "getJobLogs")
async def read_log(we: Replay) -> Any:
    lines, many = await we.backend.logs.read(Q, "1", start=0, limit=100)
    return {"logs": lines, "count": many}


@step("16-update-remove-clean", "remove an active (locked) job")
async def remove_active(we: Replay) -> Any:
    # BullMQ's word for a job that it did not remove is 0.
    refused = await we.refused(we.backend.jobs.remove(Q, "1"))
    return 0 if refused == Refused("WrongStateError") else refused


@step("16-update-remove-clean", "complete")
async def complete_it(we: Replay) -> Any:
    return await we.complete("1", 1)


@step("16-update-remove-clean", "remove completed")
async def remove_completed(we: Replay) -> Any:
    return await we.refused(we.backend.jobs.remove(Q, "1"))


@step("16-update-remove-clean", "setup: 2 completed, 1 waiting, 1 delayed, 1 prioritized")
async def fill(we: Replay) -> Any:
    we.clock.jump_calendar(-2)
    for number in range(3):
        await we.add("w", {"i": number}, keepLogs=2)
    await we.add("d", delay=99_999, keepLogs=2)
    await we.add("p", priority=1, keepLogs=2)
    for number in range(2):
        job_id = await we.take_id()
        assert job_id is not None
        await we.complete(job_id, number)
        we.tick(1000)
    return UNSPOKEN


@step("16-update-remove-clean", "clean completed older than 1500ms")
async def clean_completed(we: Replay) -> Any:
    gone = await we.backend.bulk.clean(Q, State.COMPLETED, older_than_ms=1500, limit=NO_LIMIT)
    assert len(gone) == 1
    return UNSPOKEN


@step("16-update-remove-clean", "clean delayed")
async def clean_delayed(we: Replay) -> Any:
    gone = await we.backend.bulk.clean(Q, State.DELAYED, older_than_ms=0, limit=10)
    assert len(gone) == 1
    return UNSPOKEN


@step("16-update-remove-clean", "drain including delayed")
async def drain_all(we: Replay) -> Any:
    await we.add("d", delay=99_999, keepLogs=2)
    await we.backend.bulk.drain(Q, delayed=True, limit=NO_LIMIT)
    return UNSPOKEN


@step("16-update-remove-clean", "obliterate with an active job")
async def obliterate_active(we: Replay) -> Any:
    await we.add("z", keepLogs=2)
    await we.take()
    await we.backend.limits.pause(Q)  # BullMQ's own call does that first
    return await we.refused(we.backend.bulk.obliterate(Q, force=False, limit=1000))


@step("16-update-remove-clean", "obliterate force")
async def obliterate(we: Replay) -> Any:
    while await we.backend.bulk.obliterate(Q, force=True, limit=1000):
        pass
    return UNSPOKEN


# 17: jobs that ask to come back


@step("17-step-jobs", "both active")
async def start_both(we: Replay) -> Any:
    await we.add("a")
    await we.add("b", priority=3)
    await we.take()
    await we.take()
    return UNSPOKEN


@step("17-step-jobs", "moveToDelayed (skip attempt)")
async def snooze(we: Replay) -> Any:
    return await we.end("snoozed", "1", until_ms=we.clock.now_ms() + 3000)


@step("17-step-jobs", "moveToWait prioritized")
async def give_back_prioritized(we: Replay) -> Any:
    assert await we.end("released", "2") is UNSPOKEN
    return UNSPOKEN


@step("17-step-jobs", "moveToWait standard: goes to the take end")
async def give_back(we: Replay) -> Any:
    await we.add("c")
    job_id = await we.take_id()
    assert job_id is not None
    await we.add("d")
    assert await we.end("released", job_id) is UNSPOKEN
    return UNSPOKEN


# 18: numbers, texts

adds("18-numbers-and-unicode", "unicode", "naïve-✓", {"s": 'héllo ✓ \x01 "q" \\ /', "e": "😀"})
adds("18-numbers-and-unicode", "fraction delay", "f", delay=1)
adds(
    "18-numbers-and-unicode",
    "huge numbers in opts",
    "h",
    sizeLimit=123456789012345680,
    attempts=10**15,
    removeOnComplete={"age": 0.5},
)
adds("18-numbers-and-unicode", "telemetry", "t", tm="tp", omc=True)
adds(
    "18-numbers-and-unicode",
    "unknown option, null, empty object, empty array",
    "u",
    custom={"a": None, "b": [], "c": {}},
    nul=None,
)
adds("18-numbers-and-unicode", "slash in options", "sl", custom="a/b")


# 19: bulk moves


@step("19-bulk-moves", "2 completed, 3 failed (one of priority 9)")
async def finish_five(we: Replay) -> Any:
    we.clock.jump_calendar(-0.04)
    for name in ("ok1", "ok2", "bad1", "bad2"):
        await we.add(name)
        job_id = await we.take_id()
        assert job_id is not None
        await (we.fail(job_id, "e") if name.startswith("bad") else we.complete(job_id, 1))
        we.tick(10)
    await we.add("pbad", priority=9)
    await we.take()
    await we.fail("5", "e")
    return UNSPOKEN


@step("19-bulk-moves", "retryJobs failed")
async def retry_failed(we: Replay) -> Any:
    await _retry_many(we, State.FAILED, until_ms=we.clock.now_ms())
    return UNSPOKEN


@step("19-bulk-moves", "retryJobs completed up to a timestamp")
async def retry_completed(we: Replay) -> Any:
    await _retry_many(we, State.COMPLETED, until_ms=we.clock.now_ms() - 40)
    return UNSPOKEN


async def _retry_many(we: Replay, state: State, *, until_ms: int) -> None:
    await we.backend.bulk.retry(
        Q, state, limit=1000, finished_until_ms=until_ms, reset_attempts=False
    )


@step("19-bulk-moves", "promoteJobs of a delayed prioritized job: goes to wait")
async def promote_prioritized(we: Replay) -> Any:
    await drain(we)
    await we.add("dp", delay=5000, priority=2)
    return await promote_all(we)


@step("19-bulk-moves", "parent with delay released by its child")
async def release_delayed_parent(we: Replay) -> Any:
    await drain(we)
    await we.flow(Tree("q1", "P", "p", children=(Tree("q2", "C1", "c"),), options={"delay": 3000}))
    await we.take("q2")
    return await we.complete("C1", 1, queue="q2")


@step("19-bulk-moves", "removeChildDependency C3")
async def break_tie(we: Replay) -> Any:
    kids = (Tree("q2", "C2", "c"), Tree("q2", "C3", "c"))
    await we.flow(Tree("q1", "P2", "p", children=kids, options={"priority": 6}))
    return await we.backend.flows.break_tie("q2", "C3")


@step("19-bulk-moves", "completed child C1 attached to a new parent")
async def attach_child_of_another(we: Replay) -> Any:
    return await we.flow(Tree("q1", "P3", "p", children=(Tree("q2", "C1", "c"),)))


@step("19-bulk-moves", "three level tree")
async def add_deep_tree(we: Replay) -> Any:
    leaves = (
        Tree("q2", "L1", "l", options={"failParentOnFailure": True}),
        Tree("q2", "L2", "l"),
    )
    await we.flow(Tree("q1", "G", "g", children=(Tree("q1", "M", "m", children=leaves),)))
    return UNSPOKEN


@step("19-bulk-moves", "removeUnprocessedChildren of M")
async def remove_waited_children(we: Replay) -> Any:
    await we.backend.flows.remove_children("q1", "M")
    return UNSPOKEN


@step("19-bulk-moves", "remove G with its children")
async def remove_flow(we: Replay) -> Any:
    return 1 if await we.backend.flows.remove("q1", "G") == 2 else 0


@step("19-bulk-moves", "remove C2: releases the priority parent")
async def remove_child(we: Replay) -> Any:
    return await we.refused(we.backend.jobs.remove("q2", "C2"))


# 20: reading


@step("20-getters", "populated")
async def populate(we: Replay) -> Any:
    we.clock.jump_calendar(-4)
    we.worker = "named"
    for number in range(1, 5):
        await we.add("done", {"i": number})
        job_id = await we.take_id()
        assert job_id is not None
        for line in "abc":
            await we.backend.logs.add(Q, job_id, line, keep=1000)
        await we.complete(job_id, number)
        we.tick(1000)
    for _ in range(2):
        await we.add("act")
        await we.take()
    for number in range(5):
        await we.add("w", {"i": number})
    for priority in (3, 1):
        await we.add("p", priority=priority)
    for delay in (9000, 3000):
        await we.add("d", delay=delay)
    kids = tuple(Tree("q2", f"K{number}", "k") for number in (1, 2, 3))
    await we.flow(Tree("q1", "P", "par", children=kids))
    return UNSPOKEN


def lists(word: str, state: State) -> None:
    """Say that a step lists the jobs of a state."""

    @step("20-getters", f"ids {word}")
    async def read_ids(we: Replay) -> Any:
        return {
            "desc": await we.ids(state, newest_first=True),
            "asc": await we.ids(state),
            "page_desc_1_2": await we.ids(state, newest_first=True, start=1, limit=2),
            "page_asc_1_2": await we.ids(state, start=1, limit=2),
            "ranges_asc_0_1": await we.ids(state, limit=2),
        }


lists("waiting", State.WAIT)
for found in ("active", "prioritized", "delayed", "completed", "waiting-children"):
    lists(found, State(found))


@step("20-getters", "several types together")
async def read_ids_of_several(we: Replay) -> Any:
    """BullMQ's range counts in each state, our limit over all: the first two of each."""
    waiting = await we.ids(State.WAIT)
    ids = await we.ids(State.WAIT, State.COMPLETED)
    assert ids[: len(waiting)] == waiting
    return [*ids[:2], *ids[len(waiting) :][:2]]


@step("20-getters", "state of each")
async def read_states(we: Replay) -> Any:
    states: dict[str, str] = {}
    for job_id in ("1", "5", "7", "12", "13", "14", "P", "nope"):
        job = await we.backend.jobs.get(Q, job_id)
        states[job_id] = "unknown" if job is None else _word(job.state)
    return states


def _word(state: State) -> str:
    """Return what BullMQ's getters call a state."""
    return "waiting" if state is State.WAIT else state.value


@step("20-getters", "dependencies page")
async def read_children(we: Replay) -> Any:
    """BullMQ's page has the size that is asked for, or more; ours has about that many."""
    outline = await we.backend.flows.outline(Q, "P")
    page = await we.backend.flows.children(Q, "P", limit=2)
    names = [child.name for child in page.children[:2]]
    return {"total": outline["pending"], "n": len(names), "jobs": names.count("k")}


@step("20-getters", "flow tree")
async def read_flow(we: Replay) -> Any:
    tree = await read_tree(we.backend, Q, "P", max_nodes=10)
    assert tree is not None
    return {"id": tree.id, "kids": sorted(child.id for child in tree.children)}


@step("20-getters", "logs")
async def read_logs(we: Replay) -> Any:
    whole, many = await we.backend.logs.read(Q, "1", start=0, limit=100)
    page, _ = await we.backend.logs.read(Q, "1", start=1, limit=1)
    return {"all": {"logs": whole, "count": many}, "page": {"logs": page, "count": many}}


@step("20-getters", "meta")
async def read_meta(we: Replay) -> Any:
    queue = await we.backend.counts.queue(Q)
    assert queue is not None
    return {"paused": queue.paused}


@step("20-getters", "prometheus")
async def read_for_prometheus(we: Replay) -> Any:
    queue = await we.backend.counts.queue(Q)
    assert queue is not None
    text = exposition(bullmq_metrics([QueueInfo.from_record(queue)]))
    # To Prometheus it is the same whether 2 or 2.0, and how labels are divided.
    text = re.sub(r'",(?=\w+=)', '", ', text)
    return re.sub(r"(?<=\d)\.0$", "", text, flags=re.MULTILINE)


# 21: a prefix with a hash tag, a queue name with a space


@step("21-prefix", "add with parent in another queue of the same prefix")
async def add_deduplicated(we: Replay) -> Any:
    return await we.add("x", queue="my queue", deduplication={"id": "a:b c"})


@step("21-prefix", "trimEvents(0)")
async def trim_events(we: Replay) -> Any:
    # Toril drops old events by the queue's cap only; this stands in for an operator of BullMQ's.
    we.server.command("XTRIM", "{acme}:my queue:events", "MAXLEN", "0")
    return UNSPOKEN


@step("21-prefix", "bad queue name")
async def name_queue_badly(we: Replay) -> Any:
    try:
        check_queue_name("a:b")
    except InvalidOptionError as error:
        return Refused(type(error).__name__)
    return UNSPOKEN


# 22: who writes the marker, when workers have popped it


def _pop_marker(we: Replay) -> None:
    _forget(we, "marker")


@step("22-markers", "take")
async def add_all_and_take(we: Replay) -> Any:
    await we.add("a")
    await we.add("b", attempts=5)
    await we.add("c", attempts=5, backoff=1000)
    await we.add("e")
    await we.add("p", priority=5)
    _pop_marker(we)
    return await we.take()


@step("22-markers", "complete and fetch next")
async def complete_and_fetch_popped(we: Replay) -> Any:
    _pop_marker(we)
    return await we.complete("1", 1, fetch=True)


@step("22-markers", "failed, again at once")
async def fail_to_wait(we: Replay) -> Any:
    _pop_marker(we)
    return await we.fail("2", "x", retry_ms=0)


@step("22-markers", "failed, again later")
async def fail_to_delayed(we: Replay) -> Any:
    await we.take()
    _pop_marker(we)
    return await we.fail("3", "x", retry_ms=1000)


@step("22-markers", "take beside a delayed job", "take of nothing")
async def take_popped(we: Replay) -> Any:
    _pop_marker(we)
    return await we.take()


@step("22-markers", "given back")
async def give_back_popped(we: Replay) -> Any:
    _pop_marker(we)
    return await we.end("released", "4")


@step("22-markers", "given back with a priority")
async def give_back_prioritized_popped(we: Replay) -> Any:
    for _ in range(3):
        await we.take()
    _pop_marker(we)
    return await we.end("released", "5")


@step("22-markers", "promoted")
async def promote_popped(we: Replay) -> Any:
    _pop_marker(we)
    return await we.refused(we.backend.jobs.promote(Q, "3"))


@step("22-markers", "another priority")
async def change_priority_popped(we: Replay) -> Any:
    _pop_marker(we)
    return await we.refused(we.backend.jobs.change_priority(Q, "3", priority=7, lifo=False))


@step("22-markers", "another priority, in front")
async def change_priority_in_front_popped(we: Replay) -> Any:
    _pop_marker(we)
    return await we.refused(we.backend.jobs.change_priority(Q, "3", priority=7, lifo=True))


@step("22-markers", "another delay")
async def change_delay_popped(we: Replay) -> Any:
    await we.add("d", delay=4000)
    _pop_marker(we)
    return await we.refused(we.backend.jobs.change_delay(Q, "6", delay_ms=8000))


@step("22-markers", "put off by its processor")
async def snooze_popped(we: Replay) -> Any:
    await we.take()
    _pop_marker(we)
    return await we.end("snoozed", "5", until_ms=we.clock.now_ms() + 2000)


@step("22-markers", "all promoted")
async def promote_all_popped(we: Replay) -> Any:
    _pop_marker(we)
    return await promote_all(we)


@step("22-markers", "retried by hand")
async def retry_popped(we: Replay) -> Any:
    await we.take()
    await we.fail("5", "x", kind="UnrecoverableError")
    _pop_marker(we)
    return await we.refused(we.backend.jobs.retry(Q, "5", reset_attempts=False))


@step("22-markers", "all retried")
async def retry_all_popped(we: Replay) -> Any:
    await we.take()
    await we.fail("6", "x", kind="UnrecoverableError")
    _pop_marker(we)
    return await retry_failed(we)


@step("22-markers", "stalled")
async def stall_popped(we: Replay) -> Any:
    await we.take()
    await we.check_stalled()
    _forget(we, "stalled-check", "6:lock", "marker")
    await we.check_stalled()
    return UNSPOKEN


@step("22-markers", "removed")
async def remove_popped(we: Replay) -> Any:
    _pop_marker(we)
    return await we.refused(we.backend.jobs.remove(Q, "5"))


@step("22-markers", "concurrency set")
async def set_concurrency_popped(we: Replay) -> Any:
    _pop_marker(we)
    await we.backend.limits.set_concurrency(Q, 9)
    return UNSPOKEN


@step("22-markers", "concurrency lifted")
async def lift_concurrency_popped(we: Replay) -> Any:
    _pop_marker(we)
    await we.backend.limits.set_concurrency(Q, None)
    return UNSPOKEN


@step("22-markers", "rate limit lifted")
async def end_hold_popped(we: Replay) -> Any:
    await we.backend.limits.hold(Q, duration_ms=1000)
    _pop_marker(we)
    return await end_hold(we)


@step("22-markers", "added while paused")
async def add_while_paused_popped(we: Replay) -> Any:
    await we.backend.limits.pause(Q)
    _pop_marker(we)
    return await we.add("f")


@step("22-markers", "resumed")
async def resume_popped(we: Replay) -> Any:
    _pop_marker(we)
    return await resume(we)


@step("22-markers", "drained")
async def drain_popped(we: Replay) -> Any:
    _pop_marker(we)
    await we.backend.bulk.drain(Q, delayed=True, limit=NO_LIMIT)
    return UNSPOKEN


# 23: at which end of a line that holds others


async def _check_now(we: Replay) -> list[str]:
    _forget(we, "stalled-check")
    return await we.check_stalled()


@step("23-places", "marked as perhaps stalled")
async def mark(we: Replay) -> Any:
    for name in "abc":
        await we.add(name)
    await we.take()
    return await _check_now(we)


@step("23-places", "finished while marked")
async def finish_marked(we: Replay) -> Any:
    return await we.complete("1", 1)


@step("23-places", "renewed while marked")
async def renew_marked(we: Replay) -> Any:
    await we.take()
    await _check_now(we)
    return await we.extend_lock("2", 30_000)


@step("23-places", "not renewed since: still marked after the next check")
async def mark_again(we: Replay) -> Any:
    return await _check_now(we)


@step("23-places", "stalled beside waiting ones")
async def stall_beside_others(we: Replay) -> Any:
    await we.add("d")
    _forget(we, "2:lock")
    return await _check_now(we)


@step("23-places", "given back beside others of its priority")
async def give_back_beside_others(we: Replay) -> Any:
    await drain(we)
    for name in "prs":
        await we.add(name, priority=5)
    await we.take()
    assert await we.end("released", "5") is UNSPOKEN
    return UNSPOKEN


@step("23-places", "stalled beside others of its priority")
async def stall_beside_others_of_its_priority(we: Replay) -> Any:
    await we.take()
    await _check_now(we)
    _forget(we, "5:lock")
    return await _check_now(we)


@step("23-places", "parent released beside waiting ones")
async def release_parent_beside_others(we: Replay) -> Any:
    await drain(we)
    await we.flow(Tree("q1", "P", "p", children=(Tree("q2", "C1", "c"),)))
    await we.add("x")
    await we.add("y")
    await we.take("q2")
    return await we.complete("C1", 1, queue="q2")


@step("23-places", "parent released beside others of its priority")
async def release_parent_beside_others_of_its_priority(we: Replay) -> Any:
    await we.flow(Tree("q1", "P2", "p", children=(Tree("q2", "C2", "c"),), options={"priority": 5}))
    await we.add("z", priority=5)
    await we.take("q2")
    return await we.complete("C2", 1, queue="q2")


@step("23-places", "failed, again at once, last in first out")
async def fail_to_the_front(we: Replay) -> Any:
    await drain(we)
    await we.add("l", lifo=True, attempts=2)
    await we.take()
    await we.add("m")
    return await we.fail("13", "x", retry_ms=0, lifo=True)


@step("23-places", "due, last in first out: behind the others")
async def fall_due(we: Replay) -> Any:
    we.clock.jump_calendar(-1)
    await drain(we)
    await we.add("l", lifo=True, delay=1000)
    await we.add("n")
    we.tick(1000)
    return await we.take()


@step("23-places", "another priority: none, in front")
async def take_priority_away(we: Replay) -> Any:
    await we.add("o", priority=2)
    await we.add("o")
    first = (await we.ids(State.WAIT))[0]
    await we.backend.jobs.change_priority(Q, first, priority=0, lifo=True)
    return UNSPOKEN


_EVERY = "13-scheduler-every"
_TICK: dict[str, Any] = {"name": "tick", "opts": {"attempts": 2, "priority": 4}}
_MINUTE = Timing(every_ms=60_000)


@step(_EVERY, "upsert every 60000")
async def upsert_every(we: Replay) -> Any:
    return await we.upsert("sch", timing=_MINUTE, data={"a": 1}, immediately=True, **_TICK)


@step(_EVERY, "upsert again, same")
async def upsert_again(we: Replay) -> Any:
    return await we.upsert("sch", timing=_MINUTE, data={"a": 2}, immediately=True, **_TICK)


@step(_EVERY, "take: schedules the next iteration")
async def take_iteration(we: Replay) -> Any:
    return await we.take()


@step(_EVERY, "complete")
async def complete_iteration(we: Replay) -> Any:
    return await we.complete((await we.ids(State.ACTIVE))[0], 1)


@step(_EVERY, "getJobSchedulers")
async def list_schedulers(we: Replay) -> Any:
    return await we.schedulers()


@step(_EVERY, "change every to 10000")
async def change_every(we: Replay) -> Any:
    return await we.upsert("sch", timing=Timing(every_ms=10_000), name="tick", immediately=True)


@step(_EVERY, "removing the scheduled job directly")
async def remove_iteration(we: Replay) -> Any:
    return await we.refused(we.backend.jobs.remove(Q, (await we.ids(State.WAIT))[0]))


@step(_EVERY, "remove scheduler", "remove scheduler again")
async def remove_scheduler(we: Replay) -> Any:
    return await we.backend.schedules.remove(Q, "sch")


@step(_EVERY, "with offset")
async def upsert_with_offset(we: Replay) -> Any:
    timing = Timing(every_ms=60_000, offset_ms=5000)
    return await we.upsert("off", timing=timing, name="o")


@step(_EVERY, "with startDate, limit, endDate")
async def upsert_with_bounds(we: Replay) -> Any:
    begin_ms = we.clock.now_ms() - 10
    timing = Timing(every_ms=1000, start_ms=begin_ms + 5000, end_ms=begin_ms + 99_000)
    return await we.upsert("lim", timing=timing, limit=2, name="l")


_CRON = "14-scheduler-cron"


@step(_CRON, "cron every 15 minutes")
async def upsert_cron(we: Replay) -> Any:
    timing = Timing(pattern="0 */15 * * * *", timezone="UTC")
    return await we.upsert(
        "cr", timing=timing, name="c", data={"z": 1}, opts={"removeOnComplete": 5}
    )


@step(_CRON, "immediately")
async def upsert_immediately(we: Replay) -> Any:
    timing = Timing(pattern="0 0 * * *", timezone="UTC")
    return await we.upsert("im", timing=timing, limit=2, name="im", immediately=True)


@step(_CRON, "take immediate one")
async def take_immediate(we: Replay) -> Any:
    return await we.take()


@step(_CRON, "complete it")
async def complete_immediate(we: Replay) -> Any:
    return await we.complete((await we.ids(State.ACTIVE))[0], 1)


async def _take_and_complete(we: Replay, times: int) -> list[str | None]:
    taken = []
    for _ in range(times):
        taken.append(await we.take_id())
        if taken[-1] is not None:
            await we.complete(taken[-1], 1, keep_count=5 if ":cr:" in taken[-1] else None)
    return taken


@step(_CRON, "next midnight: take twice")
async def take_twice(we: Replay) -> Any:
    return await _take_and_complete(we, 2)


@step(_CRON, "next midnight again")
async def take_thrice(we: Replay) -> Any:
    return await _take_and_complete(we, 3)


@step(_CRON, "getJobScheduler")
async def get_scheduler(we: Replay) -> Any:
    return (await we.schedulers("cr"))[0]
