"""Why a job is not running: each reason from its facts, and the reasons of real jobs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.engine.working import ONCE, file_app, memory_app, working
from tests.support.waiting import wait_until

from toril import (
    App,
    Context,
    Explanation,
    Job,
    RateLimit,
    Reason,
    ReasonKind,
    RetryPolicy,
    State,
    UnknownTaskWarning,
)
from toril.engine.contract.counts import JobPlace, QueueRecord
from toril.engine.contract.workers import WorkerRecord
from toril.engine.explain import explain
from toril.engine.explain_facts import Child, Facts, knows
from toril.engine.flow import ParentRef
from toril.engine.job import Attempt, JobRecord
from toril.engine.registration import MAX_NAMES_CHARS, bounded
from toril.engine.wording import cut, span
from toril.testing import MemoryApp

NOW_MS = 1_800_000_000_000
"""2027-01-15 08:00:00 UTC."""


def record(state: State = State.WAIT, **fields: Any) -> JobRecord:
    """Return a job `7` of queue `mail`, called `send`."""
    known: dict[str, Any] = {
        "id": "7",
        "queue": "mail",
        "name": "send",
        "state": state,
        "data": "{}",
        "opts": "{}",
        "priority": 0,
        "timestamp_ms": NOW_MS - 60_000,
        "delay_ms": 0,
        "run_at_ms": None,
        "attempts_made": 0,
        "attempts_started": 0,
        "stalled": 0,
        "progress": "0",
        "result": None,
        "failed_reason": None,
        "processed_on_ms": None,
        "finished_on_ms": None,
        "worker_id": None,
        "lease_remaining_ms": None,
        "deferred_failure": None,
        "cancel_reason": None,
        "attempts": [],
        "data_bytes": 2,
    }
    return JobRecord(**(known | fields))


def queue(**fields: Any) -> QueueRecord:
    """Return the figures of queue `mail`, on which nothing is set."""
    active = fields.pop("active", 0)
    known: dict[str, Any] = {
        "name": "mail",
        "paused": False,
        "counts": dict.fromkeys(State, 0) | {State.ACTIVE: active},
        "completed_total": 0,
        "failed_total": 0,
        "oldest_waiting_ms": None,
        "concurrency": None,
        "rate_limit": None,
        "rate_window_ms": None,
    }
    return QueueRecord(**(known | fields))


def worker(worker_id: str = "w1", **fields: Any) -> WorkerRecord:
    """Return a live worker of queue `mail` that knows `send` and has a free slot."""
    known: dict[str, Any] = {
        "id": worker_id,
        "host": "here",
        "pid": 1,
        "queues": ["mail"],
        "concurrency": 2,
        "running": 1,
        "started_ms": 1,
        "beat_age_ms": 100,
        "quiet": False,
        "resident_bytes": 1,
        "version": "1",
        "tasks": {"mail": ["send"]},
    }
    return WorkerRecord(**(known | fields))


def facts(job: JobRecord | None = None, **fields: Any) -> Facts:
    """Return the facts of a job with nothing in its way, changed by `fields`."""
    job = record() if job is None else job
    known: dict[str, Any] = {
        "record": job,
        "figures": queue(),
        "place": JobPlace(state=job.state, ahead=0),
        "workers": [worker()],
    }
    return Facts(queue="mail", job_id="7", now_ms=NOW_MS, **(known | fields))


def kinds(known: Facts) -> list[str]:
    """Return the words of the reasons, in order."""
    return [str(reason.kind) for reason in explain(known).reasons]


def the(kind: ReasonKind, known: Facts) -> Reason:
    """Return the only reason of a kind."""
    (found,) = [reason for reason in explain(known).reasons if reason.kind is kind]
    return found


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def test_job_with_nothing_in_its_way_is_next_in_line() -> None:
    reason = the(ReasonKind.IN_LINE, facts())

    assert kinds(facts()) == ["in-line"]
    assert reason.values == {"ahead": 0, "exact": True, "priority": 0}
    assert "next in line" in reason.sentence


@pytest.mark.parametrize(
    ("ahead", "more", "said"),
    [
        (1, False, "1 job of the queue is ahead of it;"),
        (2, False, "2 jobs of the queue are ahead of it;"),
        (10_000, True, "More than 10,000 jobs of the queue are ahead of it;"),
        (1, True, "More than 1 job of the queue are ahead of it;"),
    ],
)
def test_jobs_ahead_are_counted(ahead: int, more: bool, said: str) -> None:
    reason = the(
        ReasonKind.IN_LINE,
        facts(place=JobPlace(state=State.WAIT, ahead=ahead, more=more)),
    )

    assert reason.sentence.startswith(said)
    assert (reason.values["ahead"], reason.values["exact"]) == (ahead, not more)


def test_priority_says_who_goes_first() -> None:
    job = record(State.PRIORITIZED, priority=5)

    reason = the(ReasonKind.IN_LINE, facts(job, place=JobPlace(state=State.PRIORITIZED, ahead=3)))

    assert "those without a priority, and with a smaller number, go first" in reason.sentence
    assert reason.values["priority"] == 5


def test_missing_job_and_missing_queue_are_told_apart() -> None:
    gone = facts(record=None, place=None)
    nowhere = replace(gone, figures=None)

    assert kinds(gone) == kinds(nowhere) == ["missing"]
    assert explain(gone).state is None
    assert "Queue 'mail' has no job '7'" in str(explain(gone))
    assert "`toril jobs list mail`" in str(explain(gone))
    assert "no queue 'mail'" in str(explain(nowhere))
    assert "`toril queues`" in str(explain(nowhere))


def test_completed_job_is_told_with_its_end() -> None:
    job = record(
        State.COMPLETED, finished_on_ms=NOW_MS - 90_000, attempts_made=1, worker_id="w1", opts="{}"
    )

    reason = the(ReasonKind.COMPLETED, facts(job))

    assert kinds(facts(job)) == ["completed"]
    assert reason.sentence == (
        "It completed at 2027-01-15 07:58:30 UTC, 90 s ago, after 1 attempt;"
        " `toril jobs retry mail 7` runs it again."
    )
    assert reason.values == {
        "finished_at": at(NOW_MS - 90_000),
        "attempts_made": 1,
        "worker_id": "w1",
    }


def test_failed_job_is_told_with_its_reason() -> None:
    job = record(
        State.FAILED,
        finished_on_ms=NOW_MS - 1_500,
        attempts_made=3,
        failed_reason="ValueError: " + "x" * 500,
        deferred_failure="told already",
    )

    reason = the(ReasonKind.FAILED, facts(job, figures=queue(paused=True)))

    assert kinds(facts(job)) == ["failed"]
    assert "1.5 s ago, after 3 attempts; `toril jobs retry mail 7` puts" in reason.sentence
    assert reason.sentence.endswith("xxx…")
    assert reason.values["reason"] == job.failed_reason
    silent = facts(record(State.FAILED, finished_on_ms=NOW_MS))
    assert "no reason was kept" in the(ReasonKind.FAILED, silent).sentence


def running(**fields: Any) -> JobRecord:
    """Return a job that worker `w1` has held for 12 s."""
    known: dict[str, Any] = {
        "processed_on_ms": NOW_MS - 12_000,
        "worker_id": "w1",
        "attempts_started": 2,
        "lease_remaining_ms": 25_000,
        "progress": "40",
    }
    return record(State.ACTIVE, **(known | fields))


def test_running_job_is_told_with_worker_progress_and_lease() -> None:
    known = facts(running(), place=JobPlace(state=State.ACTIVE))

    reason = the(ReasonKind.RUNNING, known)

    assert kinds(known) == ["running"]
    assert reason.sentence == (
        "It runs, in attempt 2, on worker w1 on here since 2027-01-15 07:59:48 UTC, for 12 s,"
        " progress 40; its lease lasts 25 s if it is not renewed; `toril jobs cancel mail 7` stops"
        " it."
    )
    assert reason.values == {
        "worker_id": "w1",
        "host": "here",
        "started_at": at(NOW_MS - 12_000),
        "attempt": 2,
        "progress": 40,
        "lease_remaining_s": 25.0,
    }


def test_running_job_of_a_worker_that_is_not_registered_says_so() -> None:
    job = running(worker_id="", processed_on_ms=None, progress="0")

    reason = the(ReasonKind.RUNNING, facts(job, workers=[]))

    assert kinds(facts(job, workers=[])) == ["running"]
    assert "on a worker that is not on the register (one of BullMQ, or it has died);" in (
        reason.sentence
    )
    assert "progress" not in reason.sentence
    assert (reason.values["worker_id"], reason.values["host"]) == (None, None)
    named = the(ReasonKind.RUNNING, facts(running(worker_id="n"), workers=[worker()]))
    assert "on a worker n that is not on the register" in named.sentence


def test_progress_that_cannot_be_read_is_shown_as_it_stands() -> None:
    reason = the(ReasonKind.RUNNING, facts(running(progress="half")))

    assert "progress half" in reason.sentence
    assert reason.values["progress"] == "half"


@pytest.mark.parametrize("left_ms", [0, -4_000])
def test_ended_lease_is_told_and_who_takes_the_job_back(left_ms: int) -> None:
    job = running(lease_remaining_ms=left_ms, cancel_reason="told already")

    reason = the(ReasonKind.LEASE_ENDED, facts(job))

    assert kinds(facts(job)) == ["lease-ended"]
    assert "whose lease has ended" in reason.sentence
    assert kinds(facts(job, workers=[])) == ["lease-ended", "no-worker"]


def test_cancelled_job_that_still_runs_says_why() -> None:
    job = running(cancel_reason="wrong text")

    reason = the(ReasonKind.CANCELLED, facts(job))

    assert kinds(facts(job)) == ["cancelled"]
    assert reason.sentence.endswith("The reason: wrong text")
    assert reason.values["reason"] == "wrong text"


def test_job_in_no_line_is_lost() -> None:
    known = facts(place=JobPlace(state=State.WAIT))

    assert kinds(known) == ["lost"]
    assert "`toril doctor --repair`" in the(ReasonKind.LOST, known).sentence


def test_place_of_a_job_that_moved_meanwhile_says_nothing() -> None:
    assert kinds(facts(place=None, figures=queue(paused=True))) == ["paused"]
    assert kinds(facts(place=JobPlace(state=State.DELAYED), figures=queue(paused=True))) == [
        "paused"
    ]


def test_pause_is_told_with_its_moment() -> None:
    place = JobPlace(state=State.WAIT, ahead=0, paused_at_ms=NOW_MS - 3 * 3_600_000)
    known = facts(figures=queue(paused=True), place=place)

    reason = the(ReasonKind.PAUSED, known)

    assert kinds(known) == ["paused", "in-line"]
    assert "(since 2027-01-15 05:00:00 UTC, for 3 h); `toril resume mail`" in reason.sentence
    assert reason.values == {"since": at(NOW_MS - 3 * 3_600_000)}


def test_pause_of_nobody_knows_when_says_so() -> None:
    reason = the(ReasonKind.PAUSED, facts(figures=queue(paused=True)))

    assert "(it is not known since when)" in reason.sentence
    assert reason.values == {"since": None}


def test_queue_that_moves_to_another_store_is_no_mere_pause() -> None:
    known = facts(figures=queue(paused=True, moving=True))

    assert kinds(known) == ["moving", "in-line"]
    assert "`toril resume mail`" in the(ReasonKind.MOVING, known).sentence


def delayed(due_ms: int, **fields: Any) -> Facts:
    """Return the facts of a delayed job."""
    job = record(State.DELAYED, run_at_ms=NOW_MS + due_ms, **fields)
    return facts(job, place=JobPlace(state=State.DELAYED))


def attempt(outcome: str, error: str | None = None) -> Attempt:
    """Return the second attempt of a job."""
    return Attempt(
        number=2,
        started_ms=NOW_MS - 9,
        ended_ms=NOW_MS - 5,
        worker_id="w1",
        outcome=outcome,
        error=error,
    )


def test_delayed_job_is_told_until_when() -> None:
    reason = the(ReasonKind.DELAYED, delayed(7_200_000))

    assert kinds(delayed(7_200_000)) == ["delayed"]
    assert reason.sentence == (
        "It is delayed until 2027-01-15 10:00:00 UTC, 2 h from now; `toril jobs promote mail 7`"
        " makes it ready now."
    )
    assert reason.values == {
        "run_at": at(NOW_MS + 7_200_000),
        "left_s": 7200.0,
        "after_outcome": None,
        "error": None,
        "unknown_since": None,
    }


def test_delay_before_a_retry_tells_the_failure() -> None:
    reason = the(
        ReasonKind.DELAYED,
        delayed(5_000, attempts=[attempt("failed"), attempt("retried", "ValueError: no")]),
    )

    assert "5 s from now, as attempt 2 failed;" in reason.sentence
    assert reason.sentence.endswith("The failure: ValueError: no")
    assert (reason.values["after_outcome"], reason.values["error"]) == ("retried", "ValueError: no")


@pytest.mark.parametrize(
    ("outcome", "said", "kept"),
    [("snoozed", ", as its task asked for it;", "snoozed"), ("stalled", " from now;", None)],
)
def test_delay_after_another_outcome(outcome: str, said: str, kept: str | None) -> None:
    reason = the(ReasonKind.DELAYED, delayed(5_000, attempts=[attempt(outcome, "lost")]))

    assert said in reason.sentence
    assert "The failure" not in reason.sentence
    assert (reason.values["after_outcome"], reason.values["error"]) == (kept, None)


def test_delay_of_a_job_that_no_worker_knows() -> None:
    waits = Attempt(
        number=2,
        started_ms=NOW_MS - 9,
        ended_ms=NOW_MS - 5,
        worker_id="w1",
        outcome="snoozed",
        error="worker w1 has no task 'send'",
        unknown_since_ms=NOW_MS - 3_600_000,
    )
    known = delayed(5_000, attempts=[waits], attempts_started=2)

    reason = the(ReasonKind.DELAYED, known)

    assert (
        "5 s from now, as no worker that took it since 2027-01-15 07:00:00 UTC has had a task"
        " 'send';"
    ) in reason.sentence
    assert reason.sentence.endswith("The last one that took it: worker w1 has no task 'send'")
    assert reason.values["unknown_since"] == at(NOW_MS - 3_600_000)


@pytest.mark.parametrize(
    ("made", "reason", "kept"), [(1, "no", "retried"), (0, "no", None), (1, None, None)]
)
def test_delay_after_a_failure_on_node_tells_it_too(
    made: int, reason: str | None, kept: str | None
) -> None:
    known = delayed(5_000, attempts_made=made, failed_reason=reason)

    found = the(ReasonKind.DELAYED, known)

    assert found.values["after_outcome"] == kept
    assert (", as attempt 1 failed;" in found.sentence) is (kept is not None)
    assert found.sentence.endswith("The failure: no") is (kept is not None)


@pytest.mark.parametrize(("due_ms", "kind"), [(1, "delayed"), (0, "due"), (-3_000, "due")])
def test_delay_that_is_over_waits_for_a_claim(due_ms: int, kind: str) -> None:
    assert kinds(delayed(due_ms)) == [kind]


def test_due_job_is_held_by_what_holds_those_in_line() -> None:
    due = replace(delayed(-3_000), workers=[], figures=queue(paused=True, hold_left_ms=500))

    assert kinds(due) == ["due", "paused", "no-worker", "held"]
    assert the(ReasonKind.DUE, due).values == {"run_at": at(NOW_MS - 3_000), "late_s": 3.0}
    later = replace(delayed(3_000), workers=[], figures=queue(paused=True, hold_left_ms=500))
    assert kinds(later) == ["delayed", "paused", "no-worker"]


def parent(left: int, *children: Child) -> Facts:
    """Return the facts of a job that waits for children."""
    place = JobPlace(state=State.WAITING_CHILDREN)
    waiting = record(State.WAITING_CHILDREN)
    return facts(waiting, place=place, children_left=left, children=children)


def child(job_id: str, state: State | None = State.WAIT) -> Child:
    """Return a child in queue `parts`."""
    return Child(queue="parts", job_id=job_id, state=state)


def test_parent_names_the_children_it_waits_for() -> None:
    known = parent(2, child("a"), child("b", State.ACTIVE))

    reason = the(ReasonKind.CHILDREN, known)

    assert kinds(known) == ["children"]
    assert reason.sentence == (
        "It waits for 2 children: a of queue 'parts' (wait), b of queue 'parts' (active); explain"
        " one of them to learn more."
    )
    assert reason.values == {
        "left": 2,
        "children": [
            {"queue": "parts", "job_id": "a", "state": "wait"},
            {"queue": "parts", "job_id": "b", "state": "active"},
        ],
    }


def test_parent_names_children_that_will_not_end_first() -> None:
    known = parent(
        40, child("a"), child("b"), child("c"), child("d", State.FAILED), child("e", None)
    )

    sentence = the(ReasonKind.CHILDREN, known).sentence

    assert sentence == (
        "It waits for 40 children: d of queue 'parts' (failed), e of queue 'parts' (gone), a of"
        " queue 'parts' (wait) and 37 more; retry or remove those that failed."
    )


def test_parent_of_more_children_than_are_read() -> None:
    assert the(ReasonKind.CHILDREN, parent(5_000)).sentence == (
        "It waits for 5,000 children; explain one of them to learn more."
    )
    one = the(ReasonKind.CHILDREN, parent(1, child("a")))
    assert one.sentence.startswith("It waits for 1 child: a of queue 'parts' (wait);")


def test_parent_without_children_left_says_so() -> None:
    known = replace(parent(0), workers=[], figures=queue(paused=True))

    assert kinds(known) == ["children", "paused", "no-worker"]
    assert "none is left" in the(ReasonKind.CHILDREN, known).sentence


def test_queue_that_nobody_serves() -> None:
    known = facts(workers=[worker(queues=["mails", "x"]), worker("w2", queues=["other"])])

    reason = the(ReasonKind.NO_WORKER, known)

    assert kinds(known) == ["no-worker", "in-line"]
    assert reason.sentence == (
        "No live worker serves queue 'mail' (perhaps 'mails' is meant, which one serves); start one"
        " with `toril worker MODULE:APP`."
    )
    assert reason.values == {"foreign_workers": 0, "silent_workers": [], "nearest": "mails"}


@pytest.mark.parametrize(("age_ms", "found"), [(9_000, ["in-line"]), (9_001, ["no-worker"])])
def test_worker_that_is_silent_for_too_long_serves_nobody(age_ms: int, found: list[str]) -> None:
    assert kinds(facts(workers=[worker(beat_age_ms=age_ms)]))[:1] == found


def test_silent_workers_are_named() -> None:
    one = facts(workers=[worker(beat_age_ms=12_000)])
    two = facts(workers=[worker(beat_age_ms=12_000), worker("w2", beat_age_ms=40_000)])

    assert "; worker w1 did, and has been silent for 12 s;" in (
        the(ReasonKind.NO_WORKER, one).sentence
    )
    assert "; 2 workers did, and have been silent for 12 s;" in (
        the(ReasonKind.NO_WORKER, two).sentence
    )
    assert the(ReasonKind.NO_WORKER, two).values["silent_workers"] == ["w1", "w2"]
    assert the(ReasonKind.NO_WORKER, two).values["nearest"] is None


def test_queue_that_bullmq_serves_is_served() -> None:
    known = facts(workers=[], foreign_workers=2)

    assert kinds(known) == ["foreign-workers", "in-line"]
    assert "with 2 workers" in the(ReasonKind.FOREIGN_WORKERS, known).sentence
    unknown = the(ReasonKind.NO_WORKER, facts(workers=[], foreign_workers=None))
    assert "(whether BullMQ does, this user may not ask)" in unknown.sentence


def test_name_that_no_worker_knows() -> None:
    others = [worker(tasks={"mail": ["sand", "post"]}), worker("w2", tasks={"mail": []})]
    known = facts(workers=others)

    reason = the(ReasonKind.NO_TASK, known)

    assert kinds(known) == ["no-task", "in-line"]
    assert reason.sentence == (
        "The queue's live workers (2) have no task 'send' (the nearest is 'sand'): one that"
        " takes the job puts it back, and fails it after a day unless its app says otherwise;"
        " deploy the task, or add the job by its right name."
    )
    assert reason.values == {
        "name": "send",
        "nearest": "sand",
        "other_queues": [],
        "workers": ["w1", "w2"],
        "foreign_workers": 0,
    }


def test_name_that_another_queue_has() -> None:
    known = facts(
        workers=[
            worker(tasks={"mail": ["zzz"]}),
            worker("w2", queues=["post"], tasks={"post": ["send"]}),
            worker("w3", queues=["old"], tasks={"old": ["send"]}, beat_age_ms=99_000),
            worker("w4", queues=["other"], tasks={"other": ["x"]}),
            worker("w5", queues=["unknown"], tasks=None),
        ],
        foreign_workers=1,
    )

    reason = the(ReasonKind.NO_TASK, known)

    assert "(those of queue 'post' have it)" in reason.sentence
    assert "says otherwise; 1 worker of BullMQ may have it;" in reason.sentence
    assert reason.values["other_queues"] == ["post"]
    assert "'send':" in the(
        ReasonKind.NO_TASK, facts(workers=[worker(tasks={"mail": []})])
    ).sentence  # fmt: skip


@pytest.mark.parametrize(
    ("tasks", "is_known"),
    [
        (None, True),
        ({}, True),
        ({"mail": []}, False),
        ({"mail": ["send"]}, True),
        ({"mail": ["other"]}, False),
        ({"mail": ["other", "*"]}, True),
        ({"post": ["send"], "mail": ["other"]}, False),
    ],
)
def test_worker_knows_a_name(tasks: dict[str, list[str]] | None, is_known: bool) -> None:
    assert knows(worker(tasks=tasks), "mail", "send") is is_known


def test_workers_that_stop_take_nothing() -> None:
    quiet = [worker(quiet=True), worker("w2", tasks={"mail": ["x"]})]

    assert kinds(facts(workers=quiet)) == ["stopping", "in-line"]
    assert the(ReasonKind.STOPPING, facts(workers=quiet)).values == {"workers": ["w1"]}
    assert kinds(facts(workers=[*quiet, worker("w3")])) == ["in-line"]


def test_workers_that_are_paused_take_nothing_for_now() -> None:
    paused = [worker(paused=True), worker("w2", quiet=True)]

    assert kinds(facts(workers=paused)) == ["workers-paused", "in-line"]
    found = the(ReasonKind.WORKERS_PAUSED, facts(workers=paused))
    assert found.values == {"workers": ["w1", "w2"]}
    assert "`worker.resume()`" in found.sentence
    assert kinds(facts(workers=[*paused, worker("w3")])) == ["in-line"]


def test_hold_is_told_with_what_is_left() -> None:
    known = facts(figures=queue(hold_left_ms=30_000))

    assert kinds(known) == ["held", "in-line"]
    assert the(ReasonKind.HELD, known).values == {"left_s": 30.0}
    assert "for another 30 s" in the(ReasonKind.HELD, known).sentence


@pytest.mark.parametrize(
    ("starts", "left_ms", "found"),
    [(9, 400, []), (10, 400, ["rate"]), (11, 400, ["rate"]), (10, 0, [])],
)
def test_rate_limit_that_is_used_up(starts: int, left_ms: int, found: list[str]) -> None:
    figures = queue(
        rate_limit=10, rate_window_ms=60_000, window_starts=starts, window_left_ms=left_ms
    )

    assert kinds(facts(figures=figures)) == [*found, "in-line"]
    if found:
        reason = the(ReasonKind.RATE, facts(figures=figures))
        assert "10 in 60 s: the next job may start in 0.4 s;" in reason.sentence
        assert "`toril limit mail --rate none`" in reason.sentence
        assert reason.values == {"limit": 10, "window_s": 60.0, "left_s": 0.4}


@pytest.mark.parametrize(
    ("starts", "left_ms", "found"), [(3, 400, ["worker-rate"]), (0, 400, []), (3, 0, [])]
)
def test_window_of_the_workers_own_limit(starts: int, left_ms: int, found: list[str]) -> None:
    figures = queue(window_starts=starts, window_left_ms=left_ms)

    assert kinds(facts(figures=figures)) == [*found, "in-line"]
    if found:
        assert the(ReasonKind.WORKER_RATE, facts(figures=figures)).values == {
            "starts": 3,
            "left_s": 0.4,
        }


def holder(number: int, **fields: Any) -> JobRecord:
    """Return another job, which runs."""
    return msgspec.structs.replace(running(), id=f"h{number}", **fields)


@pytest.mark.parametrize(("active", "found"), [(4, []), (5, ["concurrency"]), (6, ["concurrency"])])
def test_concurrency_that_is_used_up_names_the_holders(active: int, found: list[str]) -> None:
    holders = [holder(1), holder(2, worker_id="", progress="0"), holder(3), holder(4)]
    known = facts(figures=queue(concurrency=5, active=active), running=holders)

    assert kinds(known) == [*found, "in-line"]
    if found:
        reason = the(ReasonKind.CONCURRENCY, known)
        assert reason.sentence == (
            "The queue lets 5 jobs run at once, and as many do: h1 on w1 (progress 40), h2 on a"
            " worker of BullMQ, h3 on w1 (progress 40); wait for one, or raise it with `toril limit"
            " mail --concurrency N`."
        )
        assert (reason.values["limit"], reason.values["active"]) == (5, active)
        assert [one["job_id"] for one in reason.values["running"]] == ["h1", "h2", "h3", "h4"]
        assert reason.values["running"][0] == {
            "job_id": "h1",
            "name": "send",
            "worker_id": "w1",
            "started_at": at(NOW_MS - 12_000),
            "progress": "40",
        }
        assert reason.values["running"][1]["worker_id"] is None


def test_workers_without_a_free_slot_are_busy() -> None:
    full = [worker(running=2), worker("w2", running=3)]
    known = facts(workers=full, running=[holder(1)])

    reason = the(ReasonKind.BUSY, known)

    assert kinds(known) == ["busy", "in-line"]
    assert reason.sentence.startswith(
        "All slots of 2 workers are in use, 4 of 4: h1 on w1 (progress 40); wait for one"
    )
    assert reason.values["slots"] == 4
    assert reason.values["workers"] == ["w1", "w2"]
    assert len(reason.values["running"]) == 1
    assert kinds(facts(workers=[*full, worker("w3", running=1)])) == ["in-line"]
    # One that stops, and one that does not know the name, have no slot for it.
    useless = [worker("w3", quiet=True), worker("w4", tasks={"mail": []})]
    assert kinds(facts(workers=[*full, *useless])) == ["busy", "in-line"]


def test_all_that_holds_a_job_is_told_in_order() -> None:
    figures = queue(
        paused=True,
        hold_left_ms=1,
        rate_limit=1,
        rate_window_ms=1,
        window_starts=1,
        window_left_ms=1,
        concurrency=1,
        active=1,
    )

    found = kinds(
        facts(record(deferred_failure="no"), figures=figures, workers=[worker(running=2)])
    )

    assert found == ["paused", "held", "rate", "concurrency", "busy", "in-line", "will-fail"]


def test_job_that_will_fail_unrun_says_why() -> None:
    reason = the(ReasonKind.WILL_FAIL, facts(record(deferred_failure="stalled too often")))

    assert reason.sentence.endswith(": stalled too often")
    assert reason.values == {"reason": "stalled too often"}


@pytest.mark.parametrize(
    ("opts", "job_id", "schedule"),
    [
        ('{"repeatJobKey":"nightly","repeat":{"every":1000}}', "repeat:nightly:5", "nightly"),
        ('{"repeat":{"every":1000}}', "repeat:0123abc:1800", "0123abc"),
        ('{"repeat":{"every":1000}}', "7", None),
    ],
)
def test_schedule_that_made_it_is_named(opts: str, job_id: str, schedule: str | None) -> None:
    reason = the(ReasonKind.SCHEDULE, facts(record(opts=opts, id=job_id)))

    assert reason.values == {"id": schedule}
    assert ("Schedule 'nightly'" in reason.sentence) is (schedule == "nightly")
    assert reason.sentence.startswith("A schedule has" if schedule is None else "Schedule '")


def test_parent_that_waits_for_it_is_named() -> None:
    child = record(parent=ParentRef("parents", "P"))

    assert kinds(facts(child)) == ["in-line", "parent"]
    reason = the(ReasonKind.PARENT, facts(child))
    assert reason.values == {"queue": "parents", "job_id": "P"}


@pytest.mark.parametrize(
    "opts", ["", "[]", "nonsense", '{"parent":1}', '{"parent":{"id":1}}', '{"repeat":"x"}']
)
def test_options_that_make_no_sense_say_nothing(opts: str) -> None:
    assert kinds(facts(record(opts=opts))) == ["in-line"]


def test_commands_are_quoted_for_the_shell() -> None:
    known = replace(facts(record(queue="my mail")), queue="my mail", figures=queue(paused=True))

    assert "`toril resume 'my mail'`" in the(ReasonKind.PAUSED, known).sentence


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (-5, "less than 0.1 s"),
        (99, "less than 0.1 s"),
        (100, "0.1 s"),
        (9_900, "9.9 s"),
        (4_000, "4 s"),
        (10_400, "10 s"),
        (119_000, "119 s"),
        (120_000, "2 min"),
        (7_199_000, "120 min"),
        (7_200_000, "2 h"),
        (47 * 3_600_000, "47 h"),
        (48 * 3_600_000, "2 days"),
        (5_000 * 86_400_000, "5,000 days"),
    ],
)
def test_span_is_as_exact_as_people_need(ms: int, said: str) -> None:
    assert span(ms) == said


def test_texts_are_cut_to_one_line() -> None:
    assert cut("a\n b\t\tc") == "a b c"
    assert (cut("x" * 120), len(cut("x" * 121))) == ("x" * 120, 120)


def test_every_kind_has_a_text() -> None:
    assert len({kind.value for kind in ReasonKind}) == len(ReasonKind)


def test_names_on_the_register_are_bounded() -> None:
    assert bounded({"a": ["x", "*"], "b": []}) == {"a": ["x", "*"], "b": []}
    fits = "x" * MAX_NAMES_CHARS
    assert bounded({"a": [fits], "b": ["y", "z"]}) == {"a": [fits], "b": ["*"]}
    assert bounded({"a": [fits, "y", "*"]}) == {"a": [fits, "*"]}


# Real jobs, and workers beside them.


async def words(job: Job[Any]) -> list[str]:
    """Return the words of the reasons of a job."""
    return [str(reason.kind) for reason in (await job.explain()).reasons]


async def until_words(job: Job[Any], *wanted: str) -> Explanation:
    """Wait until these are the reasons of a job."""

    async def there() -> bool:
        return await words(job) == list(wanted)

    await wait_until(there, what=f"{wanted} of {job}")
    return await job.explain()


@pytest.fixture(params=["memory", "file"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> App:
    """An app in memory, and one on a file."""
    return memory_app() if request.param == "memory" else file_app(tmp_path)


async def test_waiting_jobs_learn_who_holds_the_only_slot(opened: App) -> None:
    go_on = asyncio.Event()

    @opened.task(queue="mail", retry=ONCE)
    async def send(ctx: Context, number: int) -> None:
        ctx.progress({"number": number})
        await go_on.wait()

    async with opened:
        first, second, third = [await send.enqueue(number=number) for number in range(3)]
        with pytest.warns(UnknownTaskWarning, match="perhaps 'send' is meant"):
            stray = await opened.queue("mail").add("sned")
        assert await words(second) == ["no-worker", "in-line"]

        async with working(opened, concurrency=1) as at_work:
            found = await until_words(second, "busy", "in-line")
            (busy, line) = found.reasons
            assert line.values["ahead"] == 0
            assert busy.values["workers"] == [at_work.id]
            assert [one["job_id"] for one in busy.values["running"]] == [first.id]
            assert (await third.explain()).reasons[1].values["ahead"] == 1

            async def has_told() -> bool:
                reason = (await first.explain()).reasons[0]
                return bool(reason.values["progress"] == {"number": 0})

            await wait_until(has_told, what="the progress of the first")
            (runs,) = (await first.explain()).reasons
            assert runs.kind is ReasonKind.RUNNING
            assert (runs.values["worker_id"], runs.values["attempt"]) == (at_work.id, 1)
            assert 0 < runs.values["lease_remaining_s"] <= 30

            assert await words(stray) == ["no-task", "in-line"]
            assert (await stray.explain()).reasons[0].values["nearest"] == "send"
            await opened.queue("mail").set_concurrency(1)
            assert await words(second) == ["concurrency", "busy", "in-line"]
            assert (await opened.workers())[0].tasks == {"mail": ["send"]}

            go_on.set()
            await until_words(third, "completed")
            await until_words(stray, "delayed", "no-task")
        assert await words(opened.queue("mail").job("none")) == ["missing"]


async def test_limits_are_told_of_jobs_that_wait_for_them(opened: App) -> None:
    @opened.task(queue="mail", retry=ONCE)
    async def send() -> None: ...

    async with opened:
        mail = opened.queue("mail")
        await mail.set_rate(RateLimit(limit=1, window_s=3600))
        first, second = await send.enqueue(), await send.enqueue()
        async with working(opened):
            await first.result(timeout_s=60)
            found = await until_words(second, "rate", "in-line")
            assert 3500 < found.reasons[0].values["left_s"] <= 3600
            await mail.pause()
            await mail.hold(60)
            assert await words(second) == ["paused", "held", "rate", "in-line"]
            since = (await second.explain()).reasons[0].values["since"]
            assert abs((datetime.now(UTC) - since).total_seconds()) < 20


async def test_limit_of_the_workers_is_told_too(opened: App) -> None:
    @opened.task(queue="mail", retry=ONCE)
    async def send() -> None: ...

    async with opened:
        first, second = await send.enqueue(), await send.enqueue()
        async with working(opened, rate=RateLimit(limit=1, window_s=3600)):
            await first.result(timeout_s=60)
            await until_words(second, "worker-rate", "in-line")


async def test_task_of_any_name_knows_every_name(opened: App) -> None:
    @opened.task(queue="mail", any_name=True, retry=ONCE)
    async def whatever(ctx: Context) -> None: ...

    async with opened:
        await opened.queue("mail").pause()
        job = await opened.queue("mail").add("sned")
        async with working(opened):
            await until_words(job, "paused", "in-line")
            assert (await opened.workers())[0].tasks == {"mail": ["whatever", "*"]}


async def test_retry_that_is_awaited_tells_the_failure(opened: App) -> None:
    @opened.task(queue="mail", retry=RetryPolicy(max_attempts=2, base_s=900, jitter_ratio=0))
    async def send() -> None:
        raise ValueError("no such address")

    async with opened:
        job = await send.enqueue()
        async with working(opened):
            found = await until_words(job, "delayed")

        assert found.reasons[0].values["error"] == "ValueError: no such address"
        assert found.state is State.DELAYED
        assert await words(job) == ["delayed", "no-worker"]


def test_plain_code_asks_too(toril_app: MemoryApp) -> None:
    queue = toril_app.queue("mail")

    async def add() -> str:
        return (await queue.add("send")).id

    job = queue.job(asyncio.run(add()))
    found = job.explain_sync()

    assert [str(reason.kind) for reason in found.reasons] == ["no-worker", "in-line"]
    assert str(found).splitlines() == [reason.sentence for reason in found.reasons]
