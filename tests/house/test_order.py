"""The order of the tests: what it names is there, and stands before the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.order import LONGEST_FIRST, place, turned

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("beginning", LONGEST_FIRST)
def test_what_stands_first_is_there(beginning: str) -> None:
    assert (ROOT / beginning).exists()


def test_long_files_stand_before_others_and_the_longest_before_all() -> None:
    tests = ["tests/core/test_clock.py::a", "tests/faults/test_kill.py::b", "tests/benchmarks/x::c"]

    assert sorted(tests, key=place) == [tests[2], tests[1], tests[0]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three rooms with as many tests, a file, and what is no test."""
    for room in ("a", "b", "d"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "test_it.py").write_text("#" * 100)
    (tmp_path / "test_c.py").write_text("#" * 100)
    (tmp_path / "support").mkdir()
    (tmp_path / "conftest.py").touch()
    return tmp_path


def test_each_process_reads_all_and_begins_elsewhere(folder: Path) -> None:
    rooms = [str(folder / name) for name in ("a", "b", "d", "test_c.py")]

    read = [turned([str(folder)], number, 4) for number in range(4)]

    assert read == [[*rooms[at:], *rooms[:at]] for at in range(4)]


def test_a_large_room_is_left_to_one_process(folder: Path) -> None:
    (folder / "a" / "test_it.py").write_text("#" * 1000)

    begins = [turned([str(folder)], number, 2)[0] for number in range(2)]

    assert begins == [str(folder / "a"), str(folder / "b")]


def test_what_is_no_folder_of_tests_is_read_as_it_is(folder: Path) -> None:
    arguments = [str(folder / "test_c.py::test_x"), str(folder / "support"), "not there"]

    assert sorted(turned(arguments, 1, 2)) == sorted(arguments)
