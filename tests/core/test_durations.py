from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toril.core.durations import LONGEST_S, in_words, parse, seconds
from toril.core.errors import InvalidOptionError


@given(st.floats(min_value=0, max_value=LONGEST_S))
def test_seconds_come_back_as_they_are(number: float) -> None:
    assert seconds(number, "delay") == number


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=36_525)))
def test_a_timedelta_is_as_many_seconds_as_it_has(span: timedelta) -> None:
    assert seconds(span, "delay") == span.total_seconds()


@pytest.mark.parametrize(
    "value",
    [-1, -0.001, math.nan, math.inf, LONGEST_S * 1.01, 10**400, timedelta(-1), timedelta.max, True,
     "5", None, [1]],
)  # fmt: skip
def test_nonsense_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidOptionError, match=r"^delay=.*expected seconds"):
        seconds(value, "delay")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("250ms", 0.25), ("5m", 300), ("12h", 43_200), ("7d", 604_800), (" 1.5 s ", 1.5),
     ("2w", 1_209_600), ("0", 0)],
)  # fmt: skip
def test_durations_are_read_as_people_write_them(text: str, expected: float) -> None:
    assert parse(text, "age") == expected


@pytest.mark.parametrize("text", ["", "s", "-1s", "5 minutes", "1e3", "1.", "9999w", "nan", "5m3"])
def test_text_that_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidOptionError, match=r"^age="):
        parse(text, "age")


@pytest.mark.parametrize(
    ("duration_s", "words"),
    [(0, "0 ms"), (0.34, "340 ms"), (4.2, "4.2 s"), (185, "3 min 5 s"), (7440, "2 h 4 min"),
     (266_400, "3 d 2 h")],
)  # fmt: skip
def test_durations_are_told_in_words(duration_s: float, words: str) -> None:
    assert in_words(duration_s) == words
