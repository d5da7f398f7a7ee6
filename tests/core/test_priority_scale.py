"""Priorities that count the other way round."""

from __future__ import annotations

import pytest

from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.core.priority_scale import PriorityScale


def test_most_urgent_becomes_one_and_back() -> None:
    scale = PriorityScale.from_environment(20, {})

    assert [scale(priority) for priority in (1, 5, 10, 20)] == [20, 16, 11, 1]
    assert [scale(scale(priority)) for priority in range(22)] == list(range(22))
    assert (scale(0), scale(21)) == (0, 21)


def test_raw_leaves_them_as_they_are() -> None:
    scale = PriorityScale.from_environment(20, {"QUEUE_PRIORITY_WIRE": " raw "})

    assert [scale(priority) for priority in (0, 1, 20)] == [0, 1, 20]


def test_other_values_are_refused_by_name() -> None:
    with pytest.raises(InvalidSettingError, match="QUEUE_PRIORITY_WIRE='RAW': expected raw"):
        PriorityScale.from_environment(20, {"QUEUE_PRIORITY_WIRE": "RAW"})
    with pytest.raises(InvalidOptionError, match="most_urgent=0"):
        PriorityScale(0)
