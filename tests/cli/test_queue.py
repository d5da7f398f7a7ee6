"""Queues: the table, and what an operator does to them."""

from __future__ import annotations

import pytest
from tests.cli.support import Terminal

from toril.cli.codes import DONE, STATE, USAGE


def test_queues_shows_what_is_where(terminal: Terminal) -> None:
    terminal.add("mail", "send", {"to": "jo"})
    terminal.add("mail", "send", {"to": "jo"}, priority=16)
    terminal.add("mail", "send", {"to": "jo"}, delay_s=3600)
    terminal.add("reports", "make")

    table = terminal.run("queues")
    document = terminal.run("queues", "--json")

    head, mail, reports = table.out.splitlines()
    assert head.split() == [
        "QUEUE", "PAUSED", "WAITING", "PRIO", "DELAYED", "ACTIVE", "DONE", "FAILED", "OLDEST",
    ]  # fmt: skip
    assert mail.split()[:7] == ["mail", "1", "1", "1", "0", "0", "0"]
    assert reports.split()[:2] == ["reports", "1"]
    assert [len(line) <= 80 for line in table.out.splitlines()] == [True] * 3
    first = document.json["queues"][0]
    assert first["oldest_waiting_s"] >= 0
    assert {name: first[name] for name in ("name", "paused", "waiting", "prioritized")} == {
        "name": "mail",
        "paused": False,
        "waiting": 1,
        "prioritized": 1,
    }


def test_queues_shows_who_does_not_tell_all(terminal: Terminal) -> None:
    terminal.add("mail", "send")
    terminal.add("reports", "make")
    assert "EVENTS" not in terminal.here("queues").out

    terminal.here("events", "reports", "--set", "outcomes")

    head, mail, reports = terminal.here("queues").out.splitlines()
    assert [line.split()[-1] for line in (head, mail, reports)] == ["EVENTS", "all", "outcomes"]
    assert [len(line) <= 80 for line in (head, mail, reports)] == [True] * 3
    found = terminal.here("queues", "--json").json["queues"]
    assert [(each["name"], each["events"]) for each in found] == [
        ("mail", "all"),
        ("reports", "outcomes"),
    ]


def test_queues_of_an_empty_store_says_what_to_do(terminal: Terminal) -> None:
    terminal.ask(lambda app: app.queues())

    assert "no queues yet" in terminal.here("queues").out
    assert terminal.here("queues", "--json").json == {"queues": []}


def test_pause_and_resume(terminal: Terminal) -> None:
    terminal.add("mail", "send")

    assert terminal.here("pause", "mail", "--json").json == {"queue": "mail", "paused": True}
    assert "yes" in terminal.here("queues").out
    assert terminal.here("resume", "mail").out == "mail goes on.\n"
    assert "yes" not in terminal.here("queues").out


def test_limit_sets_shows_and_removes(terminal: Terminal) -> None:
    terminal.add("mail", "send")

    words = terminal.here("limit", "mail", "--rate", "100/5m", "--concurrency", "3").out
    shown = terminal.here("limit", "mail", "--json").json
    cleared = terminal.here("limit", "mail", "--rate", "none").out

    assert words == "mail: at most 100 starts in 300 s, at most 3 at once\n"
    assert shown == {"queue": "mail", "concurrency": 3, "rate_limit": 100, "rate_window_s": 300.0}
    assert cleared == "mail: any rate, at most 3 at once\n"


@pytest.mark.parametrize("rate", ["10", "0/s", "10/", "10/week", "x/s", "1/0s"])
def test_limit_refuses_what_is_no_rate(terminal: Terminal, rate: str) -> None:
    result = terminal.here("limit", "mail", "--rate", rate)

    assert result.code == USAGE
    assert "10/s" in result.err


def test_drain_removes_what_waits(terminal: Terminal) -> None:
    for delay_s in (0, 0, 3600):
        terminal.add("mail", "send", delay_s=delay_s)

    assert terminal.here("drain", "mail", "--yes").out == "2 waiting jobs of mail removed.\n"
    result = terminal.here("drain", "mail", "--yes", "--delayed", "--json")
    assert result.json == {"queue": "mail", "removed": 1}


def test_clean_removes_jobs_of_one_state(terminal: Terminal) -> None:
    for _ in range(3):
        terminal.add("mail", "broken", {"to": "jo"})
    terminal.work_off()

    old = terminal.here("clean", "mail", "--state", "failed", "--older-than", "1d", "--yes")
    some = terminal.here("clean", "mail", "--state", "failed", "--limit", "2", "--yes")
    rest = terminal.here("clean", "mail", "--state", "failed", "--yes", "--json")

    assert old.out == "0 failed jobs of mail removed.\n"
    assert some.out == "2 failed jobs of mail removed.\n"
    assert rest.json == {"queue": "mail", "removed": 1}


def test_obliterate_wants_a_paused_queue(terminal: Terminal) -> None:
    terminal.add("mail", "send")

    assert terminal.here("obliterate", "mail", "--yes").code == STATE
    terminal.here("pause", "mail")
    result = terminal.here("obliterate", "mail", "--yes")

    assert result.code == DONE
    assert result.out == "Queue mail is gone, with 1 job.\n"
    assert terminal.here("queues", "--json").json == {"queues": []}


@pytest.mark.parametrize("verb", ["drain", "clean", "obliterate"])
def test_nothing_is_removed_without_a_yes(terminal: Terminal, verb: str) -> None:
    terminal.add("mail", "send")

    result = terminal.run(verb, "mail")

    assert result.code == USAGE
    assert "give --yes" in result.err
    assert terminal.here("queues", "--json").json["queues"][0]["waiting"] == 1


def test_queue_shows_what_is_in_it_and_what_holds_it_back(terminal: Terminal) -> None:
    for priority in (0, 1, 1, 7):
        terminal.add("mail", "send", priority=priority)
    terminal.here("limit", "mail", "--rate", "10/s", "--concurrency", "3")
    terminal.ask(lambda app: app.queue("mail").hold(3600))

    words = terminal.run("queue", "mail").out.splitlines()
    chosen = terminal.here("queue", "mail", "--priority", "7", "--priority", "0").out
    document = terminal.here("queue", "mail", "--priority", "urgent", "--json").json

    assert words[0] == "mail  GOES ON"
    assert "jobs      1 wait, 3 prioritized" in words
    assert "priority  urgent 2, high 0, normal 0, low 0" in words
    assert "limits    at most 10 starts in 1 s, at most 3 at once" in words
    assert any(line.startswith("held      nothing starts for 3") for line in words)
    assert "priority  7 1, none 1" in chosen
    assert document["waiting_by_priority"] == {"1": 2}
    assert (document["maxed"], document["held_s"] > 3000) == (False, True)


def test_queue_shows_that_it_is_full_and_paused(terminal: Terminal) -> None:
    terminal.worker()
    terminal.hold()
    terminal.here("limit", "slow", "--concurrency", "1")
    terminal.here("pause", "slow")

    words = terminal.here("queue", "slow").out

    assert words.startswith("slow  PAUSED\njobs      1 active\n")
    assert "full      as many run as may at once\n" in words


def test_queue_that_is_not_there_is_refused_with_the_nearest(terminal: Terminal) -> None:
    terminal.add("mail", "send")

    result = terminal.here("queue", "mial")

    assert result.code == STATE
    assert "did you mean 'mail'?" in result.err
