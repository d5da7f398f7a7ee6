"""The page's table of options is made from the code; these are the figures of the documents."""

from __future__ import annotations

from docs.hooks import _typed_options

EXPECTED = {
    "concurrency": ("worker", "", "1"),
    "lockDuration": ("worker", "ms", "30000"),
    "stalledInterval": ("worker", "ms", "30000"),
    "maxStalledCount": ("worker", "", "1"),
    "priority": ("job", "", "none"),
    "delay": ("job", "ms", "0"),
    "attempts": ("job", "", "3"),
    "backoff": ("job", "", "exponential, 1000 ms"),
    "removeOnComplete": ("job", "", "true"),
    "removeOnFail": ("job", "", "false"),
}


def test_options_and_defaults_are_those_of_the_documents() -> None:
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in _typed_options(None).splitlines()[2:]
    ]

    assert {row[0]: (row[2], row[3], row[4]) for row in rows} == EXPECTED
