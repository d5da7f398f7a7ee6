"""`toril events`: what happened, in order, and what happens."""

from __future__ import annotations

from tests.cli.support import Terminal

from toril.cli.codes import DONE, USAGE


def test_events_are_told_in_order_with_iso_times(terminal: Terminal) -> None:
    terminal.add("mail", "send", {"to": "jo"})
    terminal.add("reports", "make")
    terminal.work_off()

    lines = terminal.run("events", "--json").lines

    mail = [line for line in lines if line["queue"] == "mail"]
    names = [line["name"] for line in mail]
    assert names == ["added", "waiting", "active", "completed", "drained"]
    assert [line["position"] for line in mail] == [1, 2, 3, 4, 5]
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

    assert positions() == list(range(11, 31))
    assert positions("--limit", "3") == [28, 29, 30]
    assert positions("--after", "27") == [28, 29, 30]
    assert positions("--from-start") == list(range(1, 31))


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
