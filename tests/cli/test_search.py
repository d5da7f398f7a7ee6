"""`toril search`: finding jobs from a terminal."""

from __future__ import annotations

import pytest
from tests.cli.support import Terminal

from toril.cli.codes import DONE, USAGE


@pytest.fixture
def shop(terminal: Terminal) -> Terminal:
    """One job that went well and two that failed."""
    terminal.add("mail", "send", {"to": "jo"})
    for who in ("flo", "bo"):
        terminal.add("mail", "broken", {"to": who})
    terminal.work_off()
    return terminal


def test_search_prints_a_table_over_all_queues(shop: Terminal) -> None:
    done = shop.run("search", "state:failed", "error~FLO")

    head, row = done.out.splitlines()
    assert done.code == DONE
    assert head.split() == ["QUEUE", "ID", "NAME", "STATE", "TRIES", "ADDED", "DETAIL"]
    assert row.split()[:4] == ["mail", "2", "broken", "failed"]
    assert done.err == ""


def test_search_pages_with_a_cursor(shop: Terminal) -> None:
    first = shop.here("search", "name:broken", "--limit", "1", "--json").json
    second = shop.here(
        "search", "name:broken", "--limit", "1", "--json", "--after", first["next"]
    ).json
    words = shop.here("search", "name:broken", "--limit", "1").out.splitlines()

    assert [first["jobs"][0]["data"], second["jobs"][0]["data"]] == [{"to": "bo"}, {"to": "flo"}]
    assert words[-1].startswith("More: add --after ")
    assert words[-2].startswith("Looked at 1 job; there may be more. It stands at failed of mail.")


def test_search_says_that_there_are_none(shop: Terminal) -> None:
    assert shop.here("search", "name:nobody").out == "No such jobs.\n"
    assert shop.here("search", "name:nobody", "--json").json == {
        "jobs": [],
        "next": None,
        "looked_at": 3,
    }


def test_search_without_time_says_how_to_go_on(shop: Terminal) -> None:
    words = shop.here("search", "name:nobody", "--within", "0").out

    assert words.startswith("No such jobs so far.\nLooked at 2 jobs; there may be more.")


def test_search_explains_its_cost(shop: Terminal) -> None:
    words = shop.here("search", "--explain", "error~flo").out

    assert words == (
        "query  error~flo\n"
        "tier   scan, 3 jobs at most\n"
        "Looks at up to 3 jobs in 1 queue one by one, newest first, in short calls; ends when its"
        " time is up, and goes on when asked.\n"
        'The store itself passes over jobs without "flo".\n'
    )
    assert shop.here("search", "--explain", "id:1", "--json").json["tier"] == "id"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["stat:failed"], "there is no field 'stat': did you mean state?"),
        (["state:failed", "--after", "x"], "cursor='x': expected the `next` of the page before"),
        (["x", "--within", "soon"], "'soon' is not a duration"),
        (["x" * 3000], "at most 2,000 are read"),
    ],
)
def test_search_refuses_in_one_sentence(shop: Terminal, words: list[str], says: str) -> None:
    done = shop.here("search", *words)

    assert done.code == USAGE
    assert says in done.err
    assert done.err.count("\n") == 1
