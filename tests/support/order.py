"""Long files first: tests that run side by side then end together.

And what is read first: by processes side by side not all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

LONGEST_FIRST = (
    "tests/benchmarks/",
    "tests/examples/",
    "tests/web/dashboard/browser/",
    "tests/faults/",
    "tests/backends/redis/client/",
    "tests/cli/test_hostile_text.py",
    "tests/cli/test_encodings.py",
    "tests/conformance/test_model.py",
    "tests/conformance/test_flows_model.py",
    "tests/house/",
    "tests/interop/",
    "tests/outbox/",
    "tests/contrib/",
    "tests/coming_from/",
    "tests/alerts/",
    "tests/fallback/",
    "tests/web/",
    "tests/library/",
    "tests/services/",
)
"""Beginnings of paths. A file of several minutes that begins last keeps everything waiting."""


def place(test: str, longest_first: Sequence[str] = LONGEST_FIRST) -> int:
    """Return where a test stands, by its id: the number of its beginning, or after all of them."""
    for number, beginning in enumerate(longest_first):
        if test.startswith(beginning):
            return number
    return len(longest_first)


def turned(arguments: Sequence[str], number: int, processes: int) -> list[str]:
    """Return what a process reads of the tests, beginning where no other one begins.

    To read a file of tests for the first time takes long, as pytest makes asserts of it that tell
    more; what it made is kept beside the file. Processes that begin in different places each make a
    part, and find the rest made.

    Parameters:
        arguments: Of pytest: folders, which are opened, files and tests.
        number: Of the process, from 0.
        processes: How many there are.
    """
    opened = [found for argument in arguments for found in _opened(argument)]
    sizes = [_size(found) for found in opened]
    begin = number * sum(sizes) / processes
    first = next((at for at in range(len(sizes)) if sum(sizes[:at]) >= begin), 0)
    return [*opened[first:], *opened[:first]]


def _opened(argument: str) -> Iterator[str]:
    if not Path(argument).is_dir():
        yield argument
        return
    found = False
    for path in sorted(Path(argument).iterdir()):
        if path.match("test_*.py") or (path.is_dir() and any(path.rglob("test_*.py"))):
            found = True
            yield str(path)
    if not found:
        yield argument


def _size(argument: str) -> int:
    path = Path(argument)
    files = path.rglob("test_*.py") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
