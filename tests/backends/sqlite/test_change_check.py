"""A look asks SQLite only where the log may have been written to."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from toril.backends.sqlite.change_check import SETTLED_S, ChangeCheck


class Asked:
    """Counts how often it was asked, which is its answer too."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> int:
        self.times += 1
        return self.times


@pytest.fixture
def log(path: Path) -> Path:
    """A log that was last written to long ago."""
    log = path.with_name(path.name + "-wal")
    log.write_bytes(b"pages")
    age(log, 60)
    return log


def age(log: Path, age_s: float) -> None:
    """Have it written to so long ago."""
    then_s = time.time() - age_s
    os.utime(log, (then_s, then_s))


def test_log_that_nobody_writes_to_is_asked_about_once(path: Path, log: Path) -> None:
    ask = Asked()
    look = ChangeCheck(str(path), ask)

    assert [look() for _ in range(5)] == [1] * 5
    assert log.exists()


def test_log_that_was_written_to_is_asked_about_again(path: Path, log: Path) -> None:
    look = ChangeCheck(str(path), Asked())
    look()
    age(log, 30)
    assert [look(), look()] == [2, 2]

    with log.open("ab") as file:
        file.write(b"more")
    age(log, 30)
    assert [look(), look()] == [3, 3]


def test_log_is_asked_about_as_long_as_its_time_might_hide_another_write(
    path: Path, log: Path
) -> None:
    age(log, SETTLED_S / 2)
    look = ChangeCheck(str(path), Asked())
    assert [look(), look(), look()] == [1, 2, 3]

    age(log, -3600)  # the calendar was set back
    assert [look(), look()] == [4, 5]


def test_log_that_is_not_there_is_asked_about(path: Path) -> None:
    look = ChangeCheck(str(path), Asked())

    assert [look(), look()] == [1, 2]
