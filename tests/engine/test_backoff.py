from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toril.core.durations import LONGEST_S
from toril.core.errors import InvalidOptionError
from toril.engine.backoff import delay_s
from toril.engine.options import RetryPolicy

spans = st.floats(min_value=0, max_value=LONGEST_S)
draws = st.floats(min_value=0, max_value=1, exclude_max=True)
ratios = st.floats(min_value=0, max_value=1)
policies = st.builds(
    RetryPolicy,
    backoff=st.sampled_from(["fixed", "exponential"]),
    base_s=spans,
    cap_s=spans,
    jitter_ratio=ratios,
)
counts = st.integers(min_value=1, max_value=10_000)


@given(counts, policies, draws)
def test_the_wait_is_never_negative_and_never_over_the_cap(
    made: int, policy: RetryPolicy, draw: float
) -> None:
    wait_s = delay_s(made, policy, draw=draw)
    assert math.isfinite(wait_s)
    assert 0 <= wait_s <= policy.cap_s


@given(counts, spans, spans)
def test_without_jitter_waits_only_grow_and_double_below_the_cap(
    made: int, base_s: float, cap_s: float
) -> None:
    policy = RetryPolicy(base_s=base_s, cap_s=cap_s)
    now_s, next_s = delay_s(made, policy, draw=0), delay_s(made + 1, policy, draw=0)
    assert now_s <= next_s
    assert next_s in (pytest.approx(2 * now_s), cap_s, pytest.approx(cap_s)) or next_s == now_s


@given(counts, spans, draws)
def test_fixed_waits_are_all_the_same(made: int, base_s: float, draw: float) -> None:
    policy = RetryPolicy(backoff="fixed", base_s=base_s, cap_s=LONGEST_S)
    assert delay_s(made, policy, draw=draw) == base_s


@given(counts, policies, draws)
def test_jitter_takes_at_most_its_share_away(made: int, policy: RetryPolicy, draw: float) -> None:
    whole_s = delay_s(made, policy, draw=1.0)
    wait_s = delay_s(made, policy, draw=draw)
    least_s = whole_s * (1 - policy.jitter_ratio)
    assert least_s <= wait_s * (1 + 1e-9) + 1e-9
    assert wait_s <= whole_s


def test_an_attempt_before_the_first_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match=r"^attempts_made=0"):
        delay_s(0, RetryPolicy(), draw=0)
