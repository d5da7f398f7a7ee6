"""Cron expressions over ten years and seven zones: against a clock on the wall, and `croniter`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from toril.core.clock import epoch_ms
from toril.core.errors import InvalidOptionError
from toril.engine.schedules import cron

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour
    "America/Asuncion",  # at midnight
    "Africa/Cairo",  # at midnight, and one year without
    "Asia/Beirut",  # at midnight
)
BEGIN, END = datetime(2016, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

_NUMBERS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "dow": (0, 6)}


def _field(name: str) -> st.SearchStrategy[str]:
    low, high = _NUMBERS[name]
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda two: f"{min(two)}-{max(two)}")
    step = st.sampled_from((2, 3, 5, 7, 10, 15)).map(lambda every: f"*/{every}")
    listing = st.lists(number, min_size=2, max_size=4, unique=True)
    return st.one_of(
        number.map(str), span, step, listing.map(lambda all_: ",".join(map(str, all_)))
    )


TIMES = st.tuples(
    st.one_of(st.just("*"), _field("minute")), st.one_of(st.just("*"), _field("hour"))
)


def values(field: str, low: int, high: int) -> set[int]:
    """Read a field in our own way."""
    found: set[int] = set()
    for part in field.split(","):
        body, _, step = part.partition("/")
        first, dash, last = body.partition("-")
        begin, end = (low, high) if body == "*" else (int(first), int(last if dash else first))
        found |= set(range(begin, end + 1, int(step or 1)))
    return found


@cache
def changes(name: str) -> list[datetime]:
    """Return when a zone's offset changed, to the minute."""
    zone, found, at = ZoneInfo(name), [], BEGIN
    while at < END:
        after = at + timedelta(hours=6)
        if at.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            while at.astimezone(zone).utcoffset() == (at + MINUTE).astimezone(zone).utcoffset():
                at += MINUTE
            found.append(at + MINUTE)
            at += timedelta(hours=6)
        else:
            at = after
    return found


def on_the_wall(
    minute: str, hour: str, zone: ZoneInfo, begin: datetime, end: datetime
) -> list[int]:
    """Return the slots in [begin, end) that somebody who looks at the clock would name."""
    minutes, hours = values(minute, 0, 59), values(hour, 0, 23)
    keeps_pace = minute.startswith("*") or hour.startswith("*")
    seen: set[datetime] = set()
    found: list[int] = []
    at, before = begin, (begin - MINUTE).astimezone(zone).replace(tzinfo=None)
    while at < end:
        local = at.astimezone(zone).replace(tzinfo=None)
        due = local.minute in minutes and local.hour in hours
        if not keeps_pace:
            due = due and local not in seen  # the second time it shows the same
            skipped = before + MINUTE
            while skipped < local:
                due = due or (skipped.minute in minutes and skipped.hour in hours)
                skipped += MINUTE
        seen.add(local)
        if due:
            found.append(epoch_ms(at))
        at, before = at + MINUTE, local
    return found


def ours(fields: str, zone: str, begin: datetime, end: datetime) -> Iterator[int]:
    slot = cron.next_ms(fields, cron.zone(zone), epoch_ms(begin) - 1)
    while slot is not None and slot < epoch_ms(end):
        yield slot
        slot = cron.next_ms(fields, cron.zone(zone), slot)


@pytest.mark.parametrize("name", ZONES[1:])
@settings(deadline=None, max_examples=5)
@given(times=TIMES)
def test_changes_of_the_clocks_are_as_a_person_expects(name: str, times: tuple[str, str]) -> None:
    minute, hour = times
    assert len(changes(name)) >= 6

    for change in changes(name)[::4]:
        begin, end = change - timedelta(hours=5), change + timedelta(hours=5)
        seen_from = begin - timedelta(hours=26)
        expected = [
            slot
            for slot in on_the_wall(minute, hour, ZoneInfo(name), seen_from, end)
            if slot >= epoch_ms(begin)
        ]
        assert list(ours(f"{minute} {hour} * * *", name, begin, end)) == expected, change


DAYS = ("* * *", "1 * *", "*/2 * *", "* * 1-5", "15 3,9 *", "L * *", "* 2 1", "29 2 *", "1 * 1")


@pytest.mark.parametrize(
    ("name", "days"),
    [
        (ZONES[(place + step) % len(ZONES)], days)
        for place, days in enumerate(DAYS)
        for step in (0, 3)
    ],
)
def test_second_library_agrees_for_ten_years_but_for_days_of_change(name: str, days: str) -> None:
    fields = f"7 3,23 {days}"
    zone = ZoneInfo(name)
    near = {(at + timedelta(days=by)).date() for at in changes(name) for by in (-1, 0, 1)}
    theirs = croniter(fields, BEGIN.astimezone(zone) - timedelta(seconds=1))

    expected: list[int] = []
    while (at := theirs.get_next(datetime)) < END:
        expected.append(epoch_ms(at))
    found = list(ours(fields, name, BEGIN, END))

    def away(slots: list[int]) -> list[int]:
        return [
            slot for slot in slots if datetime.fromtimestamp(slot / 1000, UTC).date() not in near
        ]

    assert away(found) == away(expected)
    assert len(found) > 3


# Where the libraries differ, and who is right.
GAP = datetime(2025, 3, 30, 0, 30, tzinfo=UTC)
FOLD = datetime(2025, 10, 25, 23, 30, tzinfo=UTC)
DIFFERENT = {
    (
        "30 2 * * *",
        FOLD,
    ): "croniter runs a daily job twice when 02:30 comes twice; a person wants it once a day",
    ("*/15 2 * * *", GAP): "croniter adds a run at 03:00 for a pace of the hour from 2, which that"
    " day has not; ours has none",
}


@pytest.mark.parametrize(("fields", "begin"), DIFFERENT, ids=str)
def test_where_the_second_library_differs_ours_is_what_a_person_expects(
    fields: str, begin: datetime
) -> None:
    zone = ZoneInfo("Europe/Berlin")
    end = begin + timedelta(hours=4)
    minute, hour, *_ = fields.split()

    theirs = croniter(fields, begin.astimezone(zone))
    expected: list[int] = []
    while (at := theirs.get_next(datetime)) < end:
        expected.append(epoch_ms(at))
    found = list(ours(fields, "Europe/Berlin", begin, end))

    assert found != expected, "they agree by now: take it off the list"
    assert found == on_the_wall(minute, hour, zone, begin, end)


def test_star_in_days_means_both_as_in_crontab() -> None:
    begin = datetime(2025, 6, 1, tzinfo=UTC)

    found = list(ours("0 0 */10 * 1", "UTC", begin, begin + timedelta(days=365)))

    days = [datetime.fromtimestamp(slot / 1000, UTC) for slot in found]
    assert {day.isoweekday() for day in days} == {1}
    assert {day.day for day in days} <= {1, 11, 21, 31}


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("61 * * * *", "minutes are 0 to 59"),
        ("* 24 * * *", "hours are 0 to 23"),
        ("61 * * * * *", "seconds are 0 to 59"),
        ("0 0 32 * *", "days of the month are 1 to 31"),
        ("0 0 31 2 *", "the months given must have such a day"),
        ("0 0 * 13 *", "months are 1 to 12, or JAN to DEC"),
        ("0 0 * * 8", "days of the week are 0 to 7"),
        ("0 0 * * MOO", "SUN to SAT"),
        ("* * *", "expected 5 fields"),
        ("@never", "@daily"),
        ("", "expected 5 fields"),
        ("L/2 * * * *", "minutes are 0 to 59"),
        ("*/0 * * * *", "minutes are 0 to 59"),
    ],
)
def test_nonsense_is_refused_with_its_field_and_the_way_out(expression: str, words: str) -> None:
    with pytest.raises(InvalidOptionError) as error:
        cron.expanded(expression)

    assert str(error.value).startswith(f"cron={expression!r}: ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@given(st.one_of(st.text(max_size=40), st.text("0123456789*/-,#LW ", max_size=40), st.integers()))
def test_any_text_is_read_or_refused(expression: object) -> None:
    try:
        fields = cron.expanded(expression)
    except InvalidOptionError:
        return
    assert cron.expanded(fields) == fields


@pytest.mark.parametrize("name", ["Mars/Base", "", "../etc/passwd", "Europe", None, "UTC\0"])
def test_unknown_zone_is_refused(name: object) -> None:
    with pytest.raises(InvalidOptionError, match="Europe/Berlin"):
        cron.zone(name)


@pytest.mark.parametrize(
    ("word", "fields"),
    [("@daily", "0 0 * * *"), ("@Hourly", "0 * * * *"), ("? 3 * * ?", "* 3 * * *")],
)
def test_words_are_stored_as_fields(word: str, fields: str) -> None:
    assert cron.expanded(word) == fields


def test_what_never_comes_again_ends() -> None:
    far_ms = epoch_ms(datetime(9500, 1, 1, tzinfo=UTC))
    assert cron.next_ms("0 0 1 1 *", cron.zone("UTC"), far_ms) is None
