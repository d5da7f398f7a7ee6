"""What an attempt's error means, as a table."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toril.core.errors import InvalidOptionError, InvalidPayloadError, UnknownTaskError
from toril.engine.judging import Verdict, describe, judge
from toril.engine.options import RetryPolicy
from toril.engine.outcomes import Cancel, Fail, Retry, Snooze
from toril.engine.retried_job import RetriedJob
from toril.engine.texts import storable
from toril.testing import MemoryApp

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLAIN = RetryPolicy(max_attempts=3, base_s=1.0)


class TextError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "made", "expected"),
    [
        (ValueError("no"), 1, Verdict("retried", "ValueError: no", 1.0)),
        (ValueError("no"), 2, Verdict("retried", "ValueError: no", 2.0)),
        (ValueError("no"), 3, Verdict("failed", "ValueError: no", exhausted=True)),
        (ValueError("no"), 4, Verdict("failed", "ValueError: no", exhausted=True)),
        (ValueError(), 1, Verdict("retried", "ValueError", 1.0)),
        (Retry("busy", after_s=9), 1, Verdict("retried", "busy", 9.0)),
        (Retry("busy", after_s=9), 3, Verdict("failed", "busy", exhausted=True)),
        (Snooze(after_s=5), 3, Verdict("snoozed", None, 5.0, counts=False)),
        (Snooze(until=NOON), 3, Verdict("snoozed", None, 0.0, NOON, counts=False)),
        (Cancel("unwanted"), 1, Verdict("failed", "unwanted")),
        (Fail("useless"), 1, Verdict("failed", "useless")),
        (InvalidPayloadError("t", "f", "p"), 1, Verdict("failed", "task 't', field 'f': p")),
        (InvalidOptionError("queue='a:b'"), 1, Verdict("failed", "queue='a:b'")),
        (UnknownTaskError("unknown"), 1, Verdict("failed", "unknown")),
        (
            TextError(),
            1,
            Verdict("retried", "TextError: (its text could not be made: RuntimeError)", 1.0),
        ),
    ],
)
def test_table(error: Exception, made: int, expected: Verdict) -> None:
    assert judge(error, PLAIN, attempts_made=made, draw=0.5) == expected


@pytest.mark.parametrize(
    ("policy", "error", "kind"),
    [
        (RetryPolicy(give_up_on=(LookupError,)), KeyError("k"), "failed"),
        (RetryPolicy(give_up_on=(LookupError,)), ValueError(), "retried"),
        (RetryPolicy(retry_on=(OSError,)), ConnectionError(), "retried"),
        (RetryPolicy(retry_on=(OSError,)), ValueError(), "failed"),
        (
            RetryPolicy(retry_on=(OSError,), give_up_on=(ConnectionError,)),
            ConnectionError(),
            "failed",
        ),
        (RetryPolicy(retry_on=()), ValueError(), "failed"),
        (RetryPolicy(retry_on=()), Retry(), "retried"),
    ],
)
def test_policies_choose_by_class(policy: RetryPolicy, error: Exception, kind: str) -> None:
    verdict = judge(error, policy, attempts_made=1, draw=0)
    assert (verdict.kind, verdict.exhausted) == (kind, False)


def test_a_policys_own_wait_is_asked_and_may_give_up() -> None:
    policy = RetryPolicy(wait=lambda made, error: None if "gone" in str(error) else made * 10.0)
    assert judge(OSError("busy"), policy, attempts_made=2, draw=0).wait_s == 20.0
    assert judge(OSError("gone"), policy, attempts_made=2, draw=0) == Verdict(
        "failed", "OSError: gone"
    )


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf, 1e300, "soon"])
def test_a_wait_that_is_no_wait_does_not_stop_the_retry(wrong: float) -> None:
    verdict = judge(
        OSError("busy"), RetryPolicy(wait=lambda made, error: wrong), attempts_made=2, draw=0
    )
    assert (verdict.kind, verdict.wait_s) == ("retried", 2.0)
    assert "wait function raised InvalidOptionError" in (verdict.reason or "")


def test_a_wait_function_that_raises_does_not_stop_the_retry() -> None:
    def broken(made: int, error: BaseException) -> float:
        raise ZeroDivisionError

    verdict = judge(OSError("busy"), RetryPolicy(wait=broken), attempts_made=1, draw=0)
    assert (verdict.kind, verdict.wait_s) == ("retried", 1.0)
    assert "ZeroDivisionError" in (verdict.reason or "")


JOB = RetriedJob(
    id="7",
    queue="mail",
    task="send",
    attempts_made=2,
    max_attempts=5,
    created_at_ms=1_000,
    raw_data='{"to":"jo"}',
    raw_options='{"attempts":5}',
)


class Rule:
    """A rule that is an object."""

    def __call__(self, made: int, error: BaseException, job: RetriedJob) -> float:
        return job.attempts_made * 3.0

    def method(self, made: int, error: BaseException, job: RetriedJob) -> float | None:
        return None if job.data["to"] == "jo" else 1.0


def named(made: int, error: BaseException, job: RetriedJob | None = None) -> float:
    return 0.0 if job is None else 4.0


def with_another_default(made: int, error: BaseException, factor: float = 6.0) -> float:
    return factor


@pytest.mark.parametrize(
    ("wait", "expected"),
    [
        (Rule(), 6.0),
        (Rule().method, None),
        (named, 4.0),
        (with_another_default, 6.0),
        (lambda made, error: made * 1.0, 2.0),
        (lambda made, error, job: job.options["attempts"] + job.created_at.second, 6.0),
        (lambda *all_of_it: len(all_of_it), 2.0),
    ],
)
def test_a_rule_that_takes_the_job_is_told_it(wait: Any, expected: float | None) -> None:
    policy = RetryPolicy(max_attempts=5, wait=wait)

    verdict = judge(OSError("busy"), policy, attempts_made=2, draw=0, job=lambda: JOB)

    assert (verdict.kind, verdict.wait_s) == (
        ("failed", 0.0) if expected is None else ("retried", expected)
    )


def test_a_rule_without_a_signature_is_told_two_things() -> None:
    wait: Any = max
    verdict = judge(OSError(), RetryPolicy(wait=wait), attempts_made=1, draw=0, job=lambda: JOB)
    assert (verdict.kind, verdict.wait_s) == ("retried", 1.0)
    assert "wait function raised TypeError" in str(verdict.reason)


def test_the_job_is_not_made_for_a_policy_without_a_rule() -> None:
    def never() -> RetriedJob:
        raise AssertionError

    assert judge(OSError(), PLAIN, attempts_made=1, draw=0, job=never).kind == "retried"


async def test_a_worker_tells_the_rule_which_job_has_failed(toril_app: MemoryApp) -> None:
    told: list[RetriedJob] = []

    def wait(made: int, error: BaseException, job: RetriedJob) -> float | None:
        told.append(job)
        return None

    @toril_app.task(queue="mail", retry=RetryPolicy(max_attempts=3, wait=wait))
    async def send(to: str) -> None:
        raise OSError("busy")

    job = await send.with_options(max_attempts=4).enqueue(to="jo")
    await toril_app.run_until_idle()

    (found,) = told
    assert (found.id, found.queue, found.task) == (job.id, "mail", "send")
    assert (found.attempts_made, found.max_attempts) == (1, 4)
    assert (found.data, found.options["attempts"]) == ({"to": "jo"}, 4)
    assert found.created_at == (await job.info()).created_at


@given(st.text(st.characters()))
def test_any_text_can_be_stored(text: str) -> None:
    stored = storable(text)
    assert "\x00" not in stored
    stored.encode()
    assert describe(ValueError(text)).startswith("ValueError")
