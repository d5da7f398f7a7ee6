from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from toril.core.durations import LONGEST_S
from toril.core.errors import InvalidOptionError
from toril.engine.fetch_plan import FetchPlan
from toril.engine.options import JobOptions, KeepPolicy, Priority, RateLimit, RetryPolicy
from toril.engine.outcomes import Cancel, Fail, Retry, Snooze
from toril.engine.worker_options import WorkerOptions


def worker(**options: Any) -> WorkerOptions:
    return WorkerOptions(**{"queues": ["a", "b"], **options})


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (RetryPolicy, "max_attempts", 0),
        (RetryPolicy, "max_attempts", True),
        (RetryPolicy, "max_attempts", 2.0),
        (RetryPolicy, "max_attempts", 2**63),
        (RetryPolicy, "backoff", "linear"),
        (RetryPolicy, "base_s", -1),
        (RetryPolicy, "base_s", math.inf),
        (RetryPolicy, "base_s", "1"),
        (RetryPolicy, "cap_s", math.nan),
        (RetryPolicy, "cap_s", LONGEST_S * 2),
        (RetryPolicy, "jitter_ratio", 1.1),
        (RetryPolicy, "wait", 3),
        (RetryPolicy, "retry_on", ["OSError"]),
        (RetryPolicy, "give_up_on", (3,)),
        (RetryPolicy, "give_up_on", [OSError]),
        (KeepPolicy, "count", -1),
        (KeepPolicy, "count", 1.5),
        (KeepPolicy, "count", 2**60),
        (KeepPolicy, "age_s", -1),
        (KeepPolicy, "age_s", math.inf),
        (JobOptions, "job_id", "17"),
        (JobOptions, "delay_s", -1),
        (JobOptions, "delay_s", math.inf),
        (JobOptions, "run_at", datetime(2026, 1, 1)),  # noqa: DTZ001 - that is the point
        (JobOptions, "run_at", "tomorrow"),
        (JobOptions, "priority", -1),
        (JobOptions, "priority", 2_097_152),
        (JobOptions, "priority", 1.5),
        (JobOptions, "priority", True),
        (JobOptions, "max_attempts", 0),
        (JobOptions, "max_attempts", 2**63),
        (JobOptions, "backoff", "linear"),
        (JobOptions, "backoff_s", -1),
        (JobOptions, "jitter_ratio", 2),
        (JobOptions, "keep_logs", -1),
        (JobOptions, "deduplication", "my report"),
        (RateLimit, "limit", 0),
        (RateLimit, "limit", 1.5),
        (worker, "queues", []),
        (worker, "queues", ["a:b"]),
        (worker, "weights", {"a": 1}),
        (worker, "weights", {"a": 1, "b": 0}),
        (worker, "weights", {"a": 1, "b": 1.5}),
        (worker, "concurrency", 0),
        (worker, "concurrency", 1.5),
        (worker, "lease_s", 0.01),
        (worker, "max_stalled", -1),
        (worker, "sweep_s", 0),
        (worker, "shutdown_s", -1),
        (worker, "stale_after_s", 0),
    ],
)
def test_nonsense_is_refused_when_it_is_built(
    make: Callable[..., object], name: str, value: object
) -> None:
    expected = "queue" if name == "queues" and value else name
    with pytest.raises(InvalidOptionError, match=f"^{expected}="):
        make(**{name: value})


@pytest.mark.parametrize("window_s", [0, -1, 0.0001, math.inf, math.nan])
def test_a_rate_window_is_at_least_a_millisecond(window_s: float) -> None:
    with pytest.raises(InvalidOptionError, match=r"^window_s="):
        RateLimit(limit=1, window_s=window_s)


def test_a_delay_and_a_moment_exclude_each_other() -> None:
    with pytest.raises(InvalidOptionError, match="either run_at or delay_s"):
        JobOptions(delay_s=1, run_at=datetime.now().astimezone())


def test_a_priority_has_words() -> None:
    assert JobOptions(priority=Priority.HIGH).priority == 11


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Retry(after_s=-1), "after_s"),
        (lambda: Snooze(after_s=math.inf), "after_s"),
        (lambda: Snooze(), "until"),
        (lambda: Snooze(until=datetime(2026, 1, 1)), "until"),  # noqa: DTZ001 - that is the point
    ],
)
def test_outcomes_refuse_nonsense(make: Callable[[], object], name: str) -> None:
    with pytest.raises(InvalidOptionError, match=f"^{name}="):
        make()


@pytest.mark.parametrize(
    "outcome", [Retry("busy", after_s=3), Snooze(after_s=3), Cancel("no"), Fail("useless")]
)
def test_outcomes_travel_between_processes(outcome: Exception) -> None:
    import pickle

    twin = pickle.loads(pickle.dumps(outcome))
    assert (type(twin), str(twin), vars(twin)) == (type(outcome), str(outcome), vars(outcome))


def test_a_worker_with_weights_needs_one_for_each_queue() -> None:
    options = worker(weights={"a": 3, "b": 1})
    plan = FetchPlan(options.queues, weights=options.weights, lease_ms=1, rate=None)
    assert sorted({claim.queue for claim in plan.claims(4)}) == ["a", "b"]
