"""`toril events`: what happened, in order, what happens, and what is told of it."""

from __future__ import annotations

import pytest
from tests.cli.support import Terminal

from toril.cli.codes import DONE, STATE, USAGE


def test_events_are_told_in_order_with_iso_times(terminal: Terminal) -> None:
    terminal.add("mail", "send", {"to": "jo"})
    terminal.add("reports", "make")
    terminal.work_off()

    lines = terminal.run("events", "--json").lines

    mail = [line for line in lines if line["queue"] == "mail"]
    names = [line["name"] for line in mail]
    assert names == ["added", "waiting", "active", "completed", "drained"]
    positions = [line["position"] for line in mail]
    assert positions == sorted(set(positions))
    assert {line["queue"] for line in lines} == {"mail", "reports"}
    assert all(line["at"].endswith("Z") for line in lines)
    assert mail[0]["fields"] == {"jobId": "1", "name": "send"}


def test_events_for_people_are_one_line_each(terminal: Terminal) -> None:
    terminal.add("mail", "send")

    lines = terminal.here("events", "mail").out.splitlines()

    assert lines[0].split()[1:] == ["added", "mail", "1", "name=send"]


def test_events_begin_where_they_are_told_to(terminal: Terminal) -> None:
    for _ in range(15):
        terminal.add("mail", "send")

    def positions(*words: str) -> list[int]:
        found = terminal.here("events", "mail", "--json", *words)
        assert found.code == DONE
        return [line["position"] for line in found.lines]

    whole = positions("--from-start")
    assert len(whole) == 30
    assert whole == sorted(set(whole))
    assert positions() == whole[-20:]
    assert positions("--limit", "3") == whole[-3:]
    assert positions("--limit", "0") == []
    assert positions("--limit", "500") == whole
    assert positions("--after", str(whole[-4])) == whole[-3:]
    assert positions("--after", str(whole[-1])) == []


def test_a_position_belongs_to_one_queue(terminal: Terminal) -> None:
    for words in (["--after", "1"], ["mail", "reports", "--after", "1"]):
        assert terminal.here("events", *words).code == USAGE
    assert terminal.here("events", "mail", "--after", "1", "--from-start").code == USAGE


def test_followed_events_come_as_they_happen_also_of_new_queues(terminal: Terminal) -> None:
    terminal.add("mail", "send")
    following = terminal.start("events", "--follow", "--json").says('"jobId":"1"')

    terminal.add("mail", "send")
    following.says('"jobId":"2"', times=2)
    terminal.add("reports", "make")
    following.says('"queue":"reports"', times=2)

    assert following.log.count('"queue":"mail"') == 4


def test_newest_of_each_queue_are_put_in_one_order(terminal: Terminal) -> None:
    for number in range(6):
        terminal.add("mail" if number % 2 else "reports", "send")

    lines = terminal.here("events", "--json", "--limit", "4").lines

    assert [line["fields"]["jobId"] for line in lines] == [
        job_id for job_id in "3456" for _ in range(2)
    ]


def test_follow_goes_on_right_after_what_was_printed(terminal: Terminal) -> None:
    for _ in range(3):
        terminal.add("mail", "send")
    following = terminal.start("events", "mail", "-n", "2", "--follow", "--json").says('"3"', 2)

    terminal.add("mail", "send")
    following.says('"jobId":"4"', times=2)

    assert following.log.count('"position"') == 4


def test_set_says_what_a_queue_tells_from_now_on(terminal: Terminal) -> None:
    terminal.add("mail", "send", {"to": "jo"})

    fewer = terminal.here("events", "mail", "--set", "outcomes")
    terminal.add("mail", "broken", {"to": "jo"})
    terminal.work_off()
    told = [line["name"] for line in terminal.here("events", "mail", "--json").lines]
    silent = terminal.here("events", "mail", "--set", "none", "--json")
    terminal.add("mail", "send")
    after = terminal.here("events", "mail", "--json")
    back = terminal.here("events", "mail", "--set", "all")

    assert fewer.out == "mail tells outcomes: not that jobs are added, wait or start.\n"
    assert told == ["added", "waiting", "completed", "failed", "retries-exhausted"]
    assert silent.json == {"queue": "mail", "events": "none"}
    assert [line["name"] for line in after.lines] == told
    assert back.out == "mail tells all its events.\n"
    assert terminal.here("events", "mail").err == ""


def test_a_queue_that_tells_nothing_is_named(terminal: Terminal) -> None:
    terminal.add("mail", "send")
    terminal.add("reports", "make")
    terminal.here("events", "reports", "--set", "none")

    for words in (["reports"], [], ["--json"], ["mail", "reports", "--from-start"]):
        result = terminal.here("events", *words)
        assert result.code == DONE
        assert result.err == "reports tells nothing: toril events reports --set all ends it.\n"
    assert len(terminal.here("events", "--json").lines) == 4  # of before
    assert terminal.here("events", "mail").err == ""
    terminal.start("events", "reports", "--follow").says("reports tells nothing")


@pytest.mark.parametrize(
    "words",
    [
        ["--set", "none"],
        ["mail", "reports", "--set", "none"],
        ["mail", "--set", "some"],
        ["mail", "--set", "none", "--follow"],
        ["mail", "--set", "none", "--from-start"],
        ["mail", "--set", "none", "--after", "1"],
    ],
)
def test_set_is_for_one_queue_and_prints_no_events(terminal: Terminal, words: list[str]) -> None:
    terminal.add("mail", "send")
    terminal.add("reports", "make")

    assert terminal.here("events", *words).code == USAGE
    assert {each["events"] for each in terminal.here("queues", "--json").json["queues"]} == {"all"}


def test_set_wants_a_queue_that_is_there(terminal: Terminal) -> None:
    terminal.add("mail", "send")

    result = terminal.here("events", "mial", "--set", "none")

    assert result.code == STATE
    assert "did you mean 'mail'?" in result.err
