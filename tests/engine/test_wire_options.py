"""Options as they lie in the store: our own come back, nonsense from elsewhere does no harm."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.poison import OPTIONS

from toril.core.durations import LONGEST_S
from toril.engine.deduplication import id_in
from toril.engine.options import MAX_COUNT, JobOptions, KeepPolicy, RetryPolicy
from toril.engine.wire_options import (
    CACHED_CHARS,
    KEEP_LOGS,
    WireOptions,
    from_wire,
    to_wire,
)

seconds = st.floats(min_value=0, max_value=1e6).map(lambda number: round(number, 3))
keeps = st.none() | st.builds(
    KeepPolicy,
    count=st.none() | st.integers(min_value=0, max_value=MAX_COUNT),
    age_s=st.none() | seconds,
)
options = st.builds(
    JobOptions,
    max_attempts=st.none() | st.integers(min_value=1, max_value=MAX_COUNT),
    backoff=st.sampled_from([None, "fixed", "exponential"]),
    backoff_s=st.none() | seconds,
    jitter_ratio=st.none() | st.floats(min_value=0, max_value=1),
    keep_completed=keeps,
    keep_failed=keeps,
    keep_logs=st.none() | st.integers(min_value=0, max_value=MAX_COUNT),
    lifo=st.booleans(),
    priority=st.integers(min_value=0, max_value=2_097_151),
    delay_s=seconds,
    trace=st.booleans(),
)
policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(min_value=1, max_value=100),
    backoff=st.sampled_from(["fixed", "exponential"]),
    base_s=seconds,
    jitter_ratio=st.floats(min_value=0, max_value=1),
)


@given(options, policies)
def test_what_was_said_of_a_job_is_read_back(said: JobOptions, policy: RetryPolicy) -> None:
    read = from_wire(to_wire(said, policy))

    retry = read.retry(RetryPolicy(max_attempts=77))
    assert retry.max_attempts == (said.max_attempts or policy.max_attempts)
    assert retry.backoff == (said.backoff or policy.backoff)
    base_s = policy.base_s if said.backoff_s is None else said.backoff_s
    assert retry.base_s == pytest.approx(base_s, abs=0.0006)
    jitter = policy.jitter_ratio if said.jitter_ratio is None else said.jitter_ratio
    assert (read.jitter_ratio or 0.0) == jitter
    assert read.lifo == said.lifo
    assert read.traced == said.trace
    assert read.keep_logs == (KEEP_LOGS if said.keep_logs is None else said.keep_logs)
    for wrote, came in (
        (said.keep_completed, read.keep_completed),
        (said.keep_failed, read.keep_failed),
    ):
        if wrote is not None and wrote.count == 0:
            wrote = KeepPolicy(count=0)  # none are kept, however young
        assert came == wrote


@given(options, policies)
def test_task_that_is_not_known_here_decides_what_was_not_said(
    said: JobOptions, policy: RetryPolicy
) -> None:
    wire = to_wire(said, None)

    retry = from_wire(wire).retry(policy)
    assert retry.backoff == (said.backoff or policy.backoff)
    base_s = policy.base_s if said.backoff_s is None else said.backoff_s
    assert retry.base_s == pytest.approx(base_s, abs=0.0006)
    jitter = policy.jitter_ratio if said.jitter_ratio is None else said.jitter_ratio
    assert retry.jitter_ratio == jitter


@given(options)
def test_backoff_is_whole_for_bullmq_or_not_there(said: JobOptions) -> None:
    """A job whose wait had no kind was left hanging by workers on Node."""
    backoff = msgspec.json.decode(to_wire(said, None)).get("backoff")

    nothing = (said.backoff, said.backoff_s, said.jitter_ratio) == (None, None, None)
    assert (backoff is None) == nothing
    if backoff is not None:
        assert backoff["type"] in ("fixed", "exponential")
        assert backoff["delay"] >= 0


@pytest.mark.parametrize("text", ["", "null", "[]", "3", '"x"', "{", "true", '{"attempts": null}'])
def test_text_that_holds_no_options_means_none(text: str) -> None:
    assert from_wire(text) == WireOptions()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
fields = st.sampled_from(
    ["attempts", "backoff", "removeOnComplete", "removeOnFail", "kl", "lifo", "delay", "priority"]
)
inner_fields = st.dictionaries(
    st.sampled_from(["type", "delay", "jitter", "age", "count"]), anything, max_size=4
)


@given(st.dictionaries(fields, anything | inner_fields))
def test_nonsense_from_other_producers_makes_options_that_a_store_can_hold(
    wire: dict[str, Any],
) -> None:
    try:
        text = msgspec.json.encode(wire).decode()
    except (ValueError, OverflowError):
        return  # not JSON at all: no producer can have sent it
    read = from_wire(text)

    policy = read.retry(RetryPolicy())
    assert 1 <= policy.max_attempts <= MAX_COUNT
    assert 0 <= policy.base_s <= LONGEST_S
    assert 0 <= policy.jitter_ratio <= 1
    assert 0 <= read.keep_logs <= MAX_COUNT
    for keep in (read.keep_completed, read.keep_failed):
        if keep is not None:
            assert keep.count is None or 0 <= keep.count <= MAX_COUNT
            assert keep.age_s is None or 0 <= keep.age_s <= LONGEST_S


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ({"attempts": 0}, WireOptions()),
        ({"attempts": 3.5}, WireOptions()),
        ({"attempts": True}, WireOptions()),
        ({"attempts": 2**64 - 1}, WireOptions(max_attempts=MAX_COUNT)),
        ({"backoff": 500}, WireOptions(backoff="fixed", backoff_s=0.5)),
        ({"backoff": {"type": "mine", "delay": 500}}, WireOptions(backoff_s=0.5)),
        ({"backoff": {"type": "fixed", "delay": -1}}, WireOptions(backoff="fixed")),
        ({"backoff": {"delay": 1e300}}, WireOptions(backoff_s=LONGEST_S)),
        ({"backoff": {"jitter": 7}}, WireOptions(jitter_ratio=1.0)),
        ({"removeOnComplete": True}, WireOptions(keep_completed=KeepPolicy(count=0))),
        ({"removeOnComplete": False}, WireOptions(keep_completed=KeepPolicy())),
        ({"removeOnFail": 10}, WireOptions(keep_failed=KeepPolicy(count=10))),
        ({"removeOnFail": -1}, WireOptions(keep_failed=KeepPolicy())),
        (
            {"removeOnFail": {"age": 60, "count": 5}},
            WireOptions(keep_failed=KeepPolicy(count=5, age_s=60)),
        ),
        ({"removeOnFail": {"age": 1e300}}, WireOptions(keep_failed=KeepPolicy(age_s=LONGEST_S))),
        ({"removeOnFail": "soon"}, WireOptions()),
        ({"kl": 0}, WireOptions(keep_logs=0)),
        ({"kl": -1}, WireOptions()),
        ({"lifo": 1}, WireOptions()),
    ],
)  # fmt: skip
def test_what_node_writes_is_read_as_it_is_meant(
    wire: dict[str, Any], expected: WireOptions
) -> None:
    assert from_wire(msgspec.json.encode(wire).decode()) == expected


@pytest.mark.parametrize("text", OPTIONS.values(), ids=OPTIONS)
def test_options_that_nobody_can_mean_are_read_as_far_as_they_can_be(text: str) -> None:
    """Reading them raised, in the path of failure too: the attempt could not be settled."""
    read = from_wire(text)

    read.retry(RetryPolicy())
    id_in(text)
    assert isinstance(read.keep_logs, int)


def test_long_numbers_are_cut_and_not_passed_over() -> None:
    assert from_wire(OPTIONS["long delay"]).backoff_s == LONGEST_S
    assert from_wire(OPTIONS["long attempts"]).max_attempts == MAX_COUNT
    keep = from_wire(OPTIONS["long ages"]).keep_failed
    assert keep is not None
    assert keep.age_s == LONGEST_S


def test_long_options_are_read_anew_and_not_remembered() -> None:
    """Options of a megabyte each stayed in the worker's memory, 4,096 of them."""
    text = '{"attempts":7,"x":"' + "x" * CACHED_CHARS + '"}'

    assert from_wire(text) is not from_wire(text)
    assert from_wire(text).max_attempts == 7
    assert from_wire('{"attempts":7}') is from_wire('{"attempts":7}')


def test_the_job_says_it_in_place_of_the_task() -> None:
    def wait(made: int, error: BaseException) -> float:
        return math.pi

    task = RetryPolicy(max_attempts=9, cap_s=5.0, wait=wait, give_up_on=(KeyError,))
    read = from_wire('{"attempts": 2, "backoff": {"type": "fixed", "delay": 100}}').retry(task)
    assert read == RetryPolicy(
        max_attempts=2, backoff="fixed", base_s=0.1, cap_s=5.0, wait=wait, give_up_on=(KeyError,)
    )
