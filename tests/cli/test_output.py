"""Tables, colours and figures."""

from __future__ import annotations

import re

import pytest
from tests.cli.screen import COLUMNS, Screen
from tests.cli.support import Terminal

from toril.cli.output import plural, printable, short_bytes, short_duration


def test_tables_fit_a_narrow_terminal_and_keep_their_figures(terminal: Terminal) -> None:
    name = "a-queue-with-quite-a-long-name-that-nobody-will-ever-type"
    terminal.add(name, "send", {"to": "jo"})

    with Screen(terminal, "queues") as screen:
        assert screen.ends() == 0

    plain = re.sub(r"\x1b\[[0-9;]*m", "", screen.text)
    assert max(len(line) for line in plain.splitlines()) <= COLUMNS
    assert "WAITING" in plain
    assert "…" in plain


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_no_color_is_heeded(terminal: Terminal, no_color: str, coloured: bool) -> None:
    terminal.add("mail", "send")

    with Screen(terminal, "queues", NO_COLOR=no_color) as screen:
        assert screen.ends() == 0

    assert ("\x1b[" in screen.text) is coloured


def test_nothing_is_cut_where_nobody_looks(terminal: Terminal) -> None:
    name = "n" * 200
    terminal.add(name, "send")

    result = terminal.run("queues")

    assert name in result.out
    assert "\x1b" not in result.out
    assert not any(line.endswith(" ") for line in result.out.splitlines())


def test_destructive_commands_ask_on_a_terminal(terminal: Terminal) -> None:
    import os

    terminal.add("mail", "send")

    with Screen(terminal, "drain", "mail") as screen:
        screen.shows("Remove 1 waiting job of 'mail'?")
        os.write(screen.fd, b"n\n")
        assert screen.ends() == 130
    with Screen(terminal, "drain", "mail") as screen:
        screen.shows("[y/N]")
        os.write(screen.fd, b"y\n")
        assert screen.ends() == 0

    assert "1 waiting job of mail removed." in screen.text


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        (None, "-"), (-1, "0s"), (0.4, "0s"), (99, "99s"), (100, "1m"), (5999, "99m"),
        (6000, "1h"), (172_799, "47h"), (172_800, "2d"), (86_400 * 999, "999d"),
        (86_400 * 3650, "10y"),
    ],
)  # fmt: skip
def test_durations_are_short(duration_s: float | None, expected: str) -> None:
    assert short_duration(duration_s) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9_949, "9.9 kB"), (12_345_678, "12 MB"),
     (5e15, "5000 TB")],
)  # fmt: skip
def test_sizes_are_short(size: float, expected: str) -> None:
    assert short_bytes(size) == expected


def test_plural() -> None:
    assert [plural(count, "job") for count in (0, 1, 2000)] == ["0 jobs", "1 job", "2,000 jobs"]


def test_control_characters_are_shown_not_sent() -> None:
    assert printable("a\x1b[31mb\nc\u202e") == r"a\x1b[31mb c\u202e"
