"""`toril history`: what a queue did, over time."""

from __future__ import annotations

import pytest
from tests.cli.support import Terminal

from toril.cli.codes import DONE, STATE, USAGE
from toril.cli.history import sparkline


def worked(terminal: Terminal) -> None:
    for _ in range(3):
        terminal.add("mail", "send", {"to": "jo"})
    terminal.add("mail", "broken", {"to": "jo"})
    terminal.work_off()


def test_history_is_a_table_and_a_line_of_bars(terminal: Terminal) -> None:
    worked(terminal)

    result = terminal.run("history", "mail")

    assert result.code == DONE
    lines = result.out.splitlines()
    assert lines[0].split()[0] == "completed"
    assert lines[0].split()[-1] == "3"
    assert lines[1].endswith("1 failed job, 0 retried")
    head = lines[3].split()
    assert head[:4] == ["FROM", "DONE", "FAILED", "RETRIED"]
    (total,) = (line for line in lines if line.startswith("all"))
    assert total.split()[1:4] == ["3", "1", "0"]
    assert lines[-1] == "Tasks: broken, send"


def test_history_of_one_task_as_json(terminal: Terminal) -> None:
    worked(terminal)

    found = terminal.run("history", "mail", "--task", "send", "--since", "1h", "--json").json

    assert (found["queue"], found["task"], found["written"]) == ("mail", "send", True)
    assert found["tasks"] == ["broken", "send"]
    assert (found["total"]["completed"], found["total"]["failed"]) == (3, 0)
    assert found["step_s"] == 300
    assert sum(point["completed"] for point in found["points"]) == 3
    assert found["total"]["run"]["count"] == 3
    assert found["total"]["run"]["p95_s"] >= found["total"]["run"]["p50_s"]


def test_name_that_never_ran_is_answered_with_the_nearest(terminal: Terminal) -> None:
    worked(terminal)

    out = terminal.here("history", "mail", "--task", "sned").out

    assert "Nothing has ended in this time." in out
    assert "did you mean send?" in out


def test_queue_without_history(terminal: Terminal) -> None:
    terminal.add("mail", "send", {"to": "jo"})

    off = terminal.here("history", "mail", "--set", "off")
    terminal.work_off()
    shown = terminal.here("history", "mail")
    on = terminal.here("history", "mail", "--set", "on", "--json")

    assert off.out == "The history of mail is not written any more; what there is stays.\n"
    assert "Nothing has ended in this time." in shown.out
    assert "toril history mail --set on begins again." in shown.out
    assert on.json == {"queue": "mail", "history": True}


def test_what_makes_no_sense_is_refused(terminal: Terminal) -> None:
    terminal.add("mail", "send", {"to": "jo"})

    assert terminal.here("history", "mial").code == STATE
    assert terminal.here("history", "mail", "--since", "soon").code == USAGE
    far = terminal.here("history", "mail", "--since", "30d", "--step", "60")
    assert far.code == USAGE
    assert "steps of minutes are kept for 7 days" in far.err


@pytest.mark.parametrize(
    ("figures", "line"),
    [([], ""), ([0, 0], "  "), ([1], "█"), ([0, 1, 4, 8], " ▁▄█"), ([1, 10**9], "▁█")],
)
def test_bars_reach_as_high_as_the_highest(figures: list[int], line: str) -> None:
    assert sparkline(figures) == line
