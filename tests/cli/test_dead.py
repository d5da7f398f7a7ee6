"""`toril dead`: what failed for good, and how it comes back."""

from __future__ import annotations

import pytest
from tests.cli.support import Terminal

from toril.cli.codes import DONE, STATE, USAGE


@pytest.fixture
def dead(terminal: Terminal) -> Terminal:
    """A queue whose two failed jobs have left letters."""
    terminal.add("mail", "send", {"to": "jo"})
    assert terminal.run("dead", "set", "mail").code == DONE
    for who in ("flo", "bo"):
        terminal.add("mail", "broken", {"to": who})
    terminal.work_off()
    return terminal


def ids(terminal: Terminal, *words: str) -> list[str]:
    return [
        letter["id"] for letter in terminal.here("dead", "list", "--json", *words).json["letters"]
    ]


def test_list_shows_what_failed_where_and_why(dead: Terminal) -> None:
    head, *rows = dead.run("dead", "list").out.splitlines()

    assert head.split() == ["ID", "JOB", "QUEUE", "TRIES", "FAILED", "BACK", "REASON"]
    assert [row.split()[1:4] for row in rows] == [["broken", "mail", "1"]] * 2
    assert "ValueError: nobody is called flo" in rows[0]


def test_list_chooses(dead: Terminal) -> None:
    assert len(ids(dead)) == 2
    assert len(ids(dead, "--error", "CALLED FLO")) == 1
    assert ids(dead, "--queue", "other") == []
    assert ids(dead, "--redriven") == []
    assert dead.here("dead", "list", "--task", "x").out == "dead-letter has no such letters.\n"


def test_list_pages(dead: Terminal) -> None:
    first = dead.here("dead", "list", "--limit", "1", "--json").json
    second = dead.here("dead", "list", "--limit", "1", "--after", first["next"], "--json").json

    assert [first["letters"][0]["id"], second["letters"][0]["id"]] == ids(dead)


def test_show_tells_all_of_a_letter(dead: Terminal) -> None:
    letter_id = ids(dead, "--error", "flo")[0]
    words = dead.run("dead", "show", letter_id).out

    assert words.startswith("broken  mail 2\n")
    assert "reason    ValueError: nobody is called flo\n" in words
    assert 'data      {"to":"flo"}\n' in words
    assert "redriven  no\n" in words
    assert "raise ValueError" in words
    assert dead.here("dead", "show", letter_id, "--json").json["data"] == {"to": "flo"}


def test_redrive_brings_one_job_back_with_other_data(dead: Terminal) -> None:
    letter_id = ids(dead, "--error", "flo")[0]

    done = dead.run("dead", "redrive", letter_id, "--data", '{"to": "jo"}')

    assert done.out == "1 job brought back from dead-letter.\n"
    job = dead.here("jobs", "show", "mail", "2", "--json").json
    assert (job["state"], job["data"]) == ("wait", {"to": "jo"})
    assert ids(dead, "--redriven") == [letter_id]


def test_redrive_brings_all_back_but_once(dead: Terminal) -> None:
    assert dead.here("dead", "redrive", "--all", "--json").json["redriven"] == 2
    assert dead.here("dead", "redrive", "--all", "--json").json["redriven"] == 0


def test_letter_that_is_not_there_keeps_no_other_from_its_turn(dead: Terminal) -> None:
    """It stopped at the first, and did not say what was done before."""
    one, two = ids(dead)

    back = dead.here("dead", "redrive", "none", one, "--json")
    gone = dead.here("dead", "remove", one, "none", two)

    assert back.code == gone.code == STATE
    assert back.json["redriven"] == 1
    assert [each["id"] for each in back.json["failed"]] == ["none"]
    assert gone.out == "2 letters removed.\n"
    assert len(gone.err.splitlines()) == 1
    assert "none" in gone.err


def test_remove_removes_letters_and_leaves_their_jobs(dead: Terminal) -> None:
    first, second = ids(dead)

    assert dead.run("dead", "remove", first).out == "1 letter removed.\n"
    assert ids(dead) == [second]
    assert dead.here("dead", "remove", "--all", "--yes", "--json").json["removed"] == 1
    assert dead.here("jobs", "show", "mail", "2", "--json").json["state"] == "failed"


def test_set_ends_the_letters_of_a_queue(dead: Terminal) -> None:
    assert dead.here("dead", "set", "mail", "--off").out == (
        "Failures of mail leave no letters any more.\n"
    )
    dead.add("mail", "broken", {"to": "mo"})
    dead.work_off()

    assert len(ids(dead)) == 2


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("redrive",), USAGE, "Give the ids of letters, or --all."),
        (("redrive", "--all", "--data", "{}"), USAGE, "--data goes with one ID."),
        (("redrive", "x", "--rate", "5"), USAGE, "go with --all."),
        (("redrive", "x", "--data", "{"), USAGE, "'{' is no JSON"),
        (("redrive", "--all", "--rate", "0"), USAGE, "0"),
        (("redrive", "dead~x"), STATE, "queue 'dead-letter' has no letter 'dead~x'"),
        (("show", "dead~x"), STATE, "queue 'dead-letter' has no letter 'dead~x'"),
        (("remove", "--all"), USAGE, "--yes"),
        (("set", "nothing"), STATE, "has no queue 'nothing'"),
        (("set", "mail", "--letters", "mail"), USAGE, "expected another queue"),
        (("set", "mail", "--letters", "a:b"), USAGE, "without ':'"),
        (("list", "--letters", "a:b"), USAGE, "without ':'"),
        (("lits",), USAGE, "did you mean 'list'?"),
    ],
)
def test_nonsense_is_answered_in_a_sentence(
    dead: Terminal, words: tuple[str, ...], code: int, says: str
) -> None:
    result = dead.here("dead", *words)

    assert (result.code, result.out) == (code, "")
    assert says in result.err
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err
