"""Counts and histograms of a task in a period."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from toril.engine.tally import (
    LAST_BUCKET,
    OUTCOMES,
    Tally,
    bucket_end_ms,
    bucket_of,
    cell_of,
    packed,
    unpacked,
)

DURATIONS = st.integers(min_value=0, max_value=2**40)
ATTEMPTS = st.tuples(
    st.integers(0, len(OUTCOMES) - 1), st.one_of(st.just(-1), DURATIONS), DURATIONS
)


@given(DURATIONS)
def test_bucket_holds_its_durations_and_no_longer_ones(ms: int) -> None:
    bucket = bucket_of(ms)

    assert 0 <= bucket <= LAST_BUCKET
    assert ms <= bucket_end_ms(bucket) or bucket == LAST_BUCKET
    assert bucket == 0 or ms > bucket_end_ms(bucket - 1)


def test_ends_of_buckets_are_in_the_bucket_that_they_end() -> None:
    for power in range(31):
        assert bucket_of(2**power) == 2 * power
        assert bucket_of(2**power + 1) > 2 * power


def tally_of(attempts: list[tuple[int, int, int]]) -> Tally:
    tally = Tally()
    for outcome, wait_ms, run_ms in attempts:
        tally.count(cell_of(outcome, wait_ms, run_ms), 1, max(0, wait_ms), run_ms)
    return tally


@given(st.lists(ATTEMPTS), st.lists(ATTEMPTS))
def test_merged_tallies_are_the_tally_of_all(
    some: list[tuple[int, int, int]], others: list[tuple[int, int, int]]
) -> None:
    merged = tally_of(some)
    merged.merge(tally_of(others))

    assert merged == tally_of(some + others)
    assert merged.attempts == len(some + others)
    assert sum(merged.runs.values()) == merged.attempts
    assert sum(merged.waits.values()) == sum(wait >= 0 for _, wait, _ in some + others)


@given(st.lists(ATTEMPTS))
def test_tally_is_stored_whole(attempts: list[tuple[int, int, int]]) -> None:
    tally = tally_of(attempts)

    assert unpacked(packed(tally)) == tally


def test_nonsense_counts_as_nothing() -> None:
    for text in ("", "{}", "[1", '["x"]', '[1,2,3,4,5,6,{"x":1}]', "[" * 2000):
        assert unpacked(text) == Tally()
    assert unpacked(msgspec.json.encode([3]).decode()) == Tally(completed=3)
