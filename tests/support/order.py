"""Long files first: tests that run side by side then end together."""

from __future__ import annotations

from collections.abc import Sequence

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
