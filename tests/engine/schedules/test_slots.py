"""Which slot is next, what was missed, and what each policy makes of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toril.core.clock import epoch_ms
from toril.engine.schedules.slots import (
    CAUGHT_UP_AT_MOST,
    COUNTED_AT_MOST,
    LATE_AFTER_MS,
    Missed,
    Timing,
    first_slot,
    missed,
    newest,
    next_slot,
    settled,
    spread_ms,
)
from toril.engine.schedules.turn import POLICIES, turn

NOW_MS = epoch_ms(datetime(2026, 6, 1, 12, 0, tzinfo=UTC))
HOUR_MS = 3_600_000
HOURLY = Timing(every_ms=HOUR_MS, offset_ms=0)
DAILY = Timing(pattern="0 6 * * *", timezone="Europe/Berlin")


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 10**13))
def test_slots_of_a_span_lie_on_its_own_grid(every_ms: int, first_ms: int, after_ms: int) -> None:
    timing = Timing(every_ms=every_ms, offset_ms=settled(Timing(every_ms=every_ms), first_ms))

    slot_ms = next_slot(timing, after_ms)

    assert slot_ms is not None
    assert after_ms < slot_ms <= after_ms + every_ms
    assert (slot_ms - first_ms) % every_ms == 0


def test_start_and_end_bound_the_slots() -> None:
    timing = Timing(every_ms=1000, offset_ms=5, start_ms=10_000, end_ms=12_010)

    slots = []
    slot = next_slot(timing, 0)
    while slot is not None:
        slots.append(slot)
        slot = next_slot(timing, slot)

    assert slots == [10_005, 11_005, 12_005]


@pytest.mark.parametrize(
    ("timing", "immediately", "expected_ms"),
    [
        (Timing(every_ms=HOUR_MS), False, NOW_MS + 5 + HOUR_MS),
        (Timing(every_ms=HOUR_MS), True, NOW_MS + 5),
        (Timing(every_ms=HOUR_MS, offset_ms=1000), False, NOW_MS + 1000),
        (Timing(every_ms=HOUR_MS, start_ms=NOW_MS + 70), False, NOW_MS + 70),
        (Timing(every_ms=HOUR_MS, start_ms=NOW_MS - 70), False, NOW_MS + 5),
        (Timing(every_ms=HOUR_MS, end_ms=NOW_MS + 70), False, None),
        (DAILY, False, epoch_ms(datetime(2026, 6, 2, 4, 0, tzinfo=UTC))),
        (DAILY, True, NOW_MS + 5),
    ],
)
def test_first_slot(timing: Timing, immediately: bool, expected_ms: int | None) -> None:
    assert first_slot(timing, NOW_MS + 5, immediately=immediately) == expected_ms


@given(st.integers(1, 10**9), st.integers(0, 10**13))
def test_jitter_is_the_same_for_all_who_ask(jitter_ms: int, slot_ms: int) -> None:
    spread = spread_ms("q", "s", slot_ms, jitter_ms)

    assert 0 <= spread < jitter_ms
    assert spread == spread_ms("q", "s", slot_ms, jitter_ms)


def test_jitter_spreads_a_herd() -> None:
    spreads = {spread_ms("q", f"s{n}", NOW_MS, 60_000) // 10_000 for n in range(200)}

    assert spreads == set(range(6))


def test_what_comes_in_time_is_not_missed() -> None:
    late_ms = NOW_MS + LATE_AFTER_MS - 1

    assert missed(HOURLY, NOW_MS, NOW_MS, late_ms) is None
    assert missed(HOURLY, NOW_MS, NOW_MS + 30_000, late_ms + 30_000) is None  # its jitter
    assert missed(HOURLY, NOW_MS, NOW_MS, late_ms + 1) == Missed(1, NOW_MS, NOW_MS)


def test_slot_is_missed_once_the_next_has_come() -> None:
    minutely = Timing(every_ms=10_000, offset_ms=0)

    assert missed(minutely, NOW_MS, NOW_MS, NOW_MS + 9_999) is None
    assert missed(minutely, NOW_MS, NOW_MS, NOW_MS + 25_000) == Missed(3, NOW_MS, NOW_MS + 20_000)


def test_missed_slots_of_an_expression_are_counted_up_to_a_thousand() -> None:
    each_minute = Timing(pattern="* * * * *")

    few = missed(each_minute, NOW_MS, NOW_MS, NOW_MS + 5 * 60_000)
    many = missed(each_minute, NOW_MS, NOW_MS, NOW_MS + 365 * 24 * HOUR_MS)

    assert few == Missed(6, NOW_MS, NOW_MS + 5 * 60_000)
    assert many is not None
    assert many.many == COUNTED_AT_MOST


@given(st.integers(1, 30), st.integers(0, 100_000))
def test_newest_slots_are_the_last_ones(many: int, back_min: int) -> None:
    timing = Timing(pattern="*/7 * * * *")
    after_ms = NOW_MS - back_min * 60_000

    found = newest(timing, after_ms, NOW_MS, many)

    expected = []
    slot = next_slot(timing, max(after_ms, NOW_MS - (many + 20) * 7 * 60_000 * 2))
    while slot is not None and slot <= NOW_MS:
        expected.append(slot)
        slot = next_slot(timing, slot)
    assert found == expected[-many:]


def _turn(policy: str, *, hours: int, limit: int | None = None, count: int = 1) -> object:
    return turn(
        HOURLY, policy, slot_ms=NOW_MS, due_ms=NOW_MS, now_ms=NOW_MS + hours * HOUR_MS + 5,
        count=count, limit=limit,
    )  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES)
def test_slot_in_time_runs_and_the_next_follows(policy: str) -> None:
    assert _turn(policy, hours=0) == (NOW_MS + HOUR_MS, True, None, 0)


def test_one_run_stands_for_all_that_was_missed() -> None:
    late = Missed(4, NOW_MS, NOW_MS + 3 * HOUR_MS)

    assert _turn("one", hours=3) == (NOW_MS + 4 * HOUR_MS, True, late, 3)
    assert _turn("no such policy", hours=3) == _turn("one", hours=3)


def test_skip_runs_none_of_them() -> None:
    late = Missed(4, NOW_MS, NOW_MS + 3 * HOUR_MS)

    assert _turn("skip", hours=3) == (NOW_MS + 4 * HOUR_MS, False, late, 4)


def test_all_runs_each() -> None:
    late = Missed(4, NOW_MS, NOW_MS + 3 * HOUR_MS)

    assert _turn("all", hours=3) == (NOW_MS + HOUR_MS, True, late, 0)


def test_all_is_bounded() -> None:
    done = turn(
        HOURLY, "all", slot_ms=NOW_MS, due_ms=NOW_MS, now_ms=NOW_MS + 500 * HOUR_MS,
        count=1, limit=None,
    )  # fmt: skip

    assert done.dropped == 501 - CAUGHT_UP_AT_MOST
    assert done.next_ms == NOW_MS + (500 - CAUGHT_UP_AT_MOST + 2) * HOUR_MS


def test_limit_counts_runs_only() -> None:
    assert (
        turn(HOURLY, "one", slot_ms=NOW_MS, due_ms=NOW_MS, now_ms=NOW_MS, count=3, limit=3).next_ms
        is None
    )
    assert (
        turn(
            HOURLY,
            "skip",
            slot_ms=NOW_MS,
            due_ms=NOW_MS,
            now_ms=NOW_MS + 3 * HOUR_MS,
            count=3,
            limit=3,
        ).next_ms
        == NOW_MS + 4 * HOUR_MS
    )
