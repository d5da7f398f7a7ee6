"""The order of the tests: what it names is there, and stands before the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.order import LONGEST_FIRST, place

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("beginning", LONGEST_FIRST)
def test_what_stands_first_is_there(beginning: str) -> None:
    assert (ROOT / beginning).exists()


def test_long_files_stand_before_others_and_the_longest_before_all() -> None:
    tests = ["tests/core/test_clock.py::a", "tests/faults/test_kill.py::b", "tests/benchmarks/x::c"]

    assert sorted(tests, key=place) == [tests[2], tests[1], tests[0]]
