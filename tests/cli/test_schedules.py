"""`toril schedules`."""

from __future__ import annotations

from datetime import datetime

import pytest
from tests.cli.support import Terminal

from toril.cli.codes import DONE, STATE, USAGE


def put(terminal: Terminal, *words: str) -> None:
    result = terminal.here("schedules", "put", *words, "--url", terminal.url)
    assert result.code == DONE, result.err


def test_schedule_is_put_listed_shown_paused_resumed_run_and_removed(terminal: Terminal) -> None:
    here, url = terminal.here, ("--url", terminal.url)
    put(terminal, "nightly", "reports", "daily", '{"n": 1}', "--cron", "@daily", "--timezone",
        "Europe/Berlin", "--priority", "high", "--missed", "skip")  # fmt: skip

    head, row = here("schedules", "list", *url).out.splitlines()
    assert head.split() == ["QUEUE", "SCHEDULE", "WHEN", "TASK", "NEXT", "IN", "MADE"]
    assert row.startswith("reports  nightly   0 0 * * *  daily")
    (listed,) = here("schedules", "list", "--json", *url).json["schedules"]
    assert (listed["id"], listed["cron"], listed["timezone"]) == (
        "nightly", "0 0 * * *", "Europe/Berlin",
    )  # fmt: skip
    assert listed["options"] == {"priority": 11}
    assert datetime.fromisoformat(listed["next_at"]).utcoffset() is not None
    shown = here("schedules", "show", "nightly", *url).out
    assert "skip" in shown
    assert "Europe/Berlin" in shown

    assert (
        here("schedules", "pause", "nightly", *url).out == "Schedule nightly of reports pauses.\n"
    )
    assert " paused " in here("schedules", "list", *url).out
    assert here("schedules", "show", "nightly", "--json", *url).json["paused"] is True
    assert "goes on" in here("schedules", "resume", "nightly", *url).out
    ran = here("schedules", "run", "nightly", "--json", *url).json
    assert (ran["schedule"], ran["queue"]) == ("nightly", "reports")
    assert here("jobs", "show", "reports", ran["id"], "--json", *url).json["data"] == {"n": 1}
    assert "was removed" in here("schedules", "remove", "nightly", *url).out
    assert "No schedules" in here("schedules", "list", *url).out


@pytest.mark.parametrize("verb", ["show", "run", "pause", "resume", "remove"])
def test_what_is_not_there_is_said(terminal: Terminal, verb: str) -> None:
    put(terminal, "s", "q", "n", "--every", "5m")

    result = terminal.here("schedules", verb, "other", "--url", terminal.url)

    assert result.code == STATE
    assert result.out == ""
    assert "schedule 'other'" in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--cron", "61 * * * *"], "toril: cron='61 * * * *': minutes are 0 to 59\n"),
        (["--cron", "0 0 * * *", "--timezone", "Mars"], "timezone='Mars': expected the name"),
        ([], "give --cron or --every"),
        (["--cron", "@daily", "--every", "5m"], "give --cron or --every, not both"),
        (["--every", "soon"], "'soon' is not a duration"),
        (["--every", "5m", "--start", "tomorrow"], "--start='tomorrow': expected a moment"),
        (["--every", "5m", "--missed", "some"], "'some' is not one of 'skip', 'one', 'all'"),
    ],
)
def test_nonsense_gets_one_sentence(terminal: Terminal, words: list[str], sentence: str) -> None:
    result = terminal.here("schedules", "put", "s", "q", "n", *words, "--url", terminal.url)

    assert (result.code, result.out) == (USAGE, "")
    assert sentence in result.err
    assert len(result.err.splitlines()) == 1


def test_next_prints_coming_moments(terminal: Terminal) -> None:
    words = ("schedules", "next", "30 2 * * *", "--timezone", "Europe/Berlin", "--count", "3")

    told = terminal.here(*words, "--after", "2026-03-28T00:00+00:00").out
    as_json = terminal.here(*words, "--after", "2026-03-28T00:00", "--json").json

    assert told == (
        "2026-03-28T02:30:00+01:00  Sat\n"
        "2026-03-29T03:00:00+02:00  Sun\n"
        "2026-03-30T02:30:00+02:00  Mon\n"
    )
    assert as_json["moments"] == [line.split()[0] for line in told.splitlines()]
    assert (as_json["cron"], as_json["timezone"]) == ("30 2 * * *", "Europe/Berlin")


def test_next_refuses_nonsense(terminal: Terminal) -> None:
    result = terminal.here("schedules", "next", "* * *")
    zone = terminal.here("schedules", "next", "* * * * *", "--timezone", "Mars")
    after = terminal.here("schedules", "next", "* * * * *", "--after", "then")

    assert (result.code, zone.code, after.code) == (USAGE, USAGE, USAGE)
    assert result.err.startswith("toril: cron='* * *': expected 5 fields")
    assert "timezone='Mars'" in zone.err
    assert "--after='then'" in after.err


def test_next_needs_no_store(terminal: Terminal) -> None:
    assert terminal.here("schedules", "next", "@hourly").code == DONE
    assert not (terminal.folder / "toril.db").exists()
