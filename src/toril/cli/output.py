"""What a command prints: tables and sentences for people, JSON for programs.

Results go to stdout; notes about the way there go to stderr, and only to a terminal. Everything
goes through `write`, the only function that prints, and is harmless after it (`harmless.py`).
"""

from __future__ import annotations

import dataclasses
import io
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import click

from toril.cli.harmless import encodes, harmless_json, printable, printable_lines, write

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

UNLIMITED_COLUMNS = 10_000
"""Width where nobody looks at it: nothing is cut."""

LEAST_WIDTH = 8
"""Columns that give way keep so much."""

BAD, GOOD, WARN, DIM, HEAD = "red", "green", "yellow", "dim", "bold"


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    right: bool = False
    """Numbers."""
    cut: bool = False
    """Gives way when the terminal is narrow; others keep their width."""
    wrap: bool = False
    """Goes on in further lines when the terminal is narrow."""


class Cell(str):
    """A cell's text and its style."""

    style: str

    def __new__(cls, text: str, style: str = "") -> Cell:
        """Return `text` with a style."""
        made = super().__new__(cls, text)
        made.style = style
        return made


class Output:
    """Where a command's answer goes."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def document(self, value: object) -> None:
        """Print one JSON document, for people's eyes too."""
        import msgspec

        from toril.core.codec import encode_bytes

        write(_json(msgspec.json.format(encode_bytes(value), indent=2).decode()))

    def line(self, value: object) -> None:
        """Print one JSON object on a line of its own, at once."""
        from toril.core.codec import encode_text

        write(_json(encode_text(value)))

    def say(self, text: str | Sequence[str] = "", style: str = "") -> None:
        """Print one line, unless JSON was asked for.

        Parameters:
            text: The line; or its parts, of which a `Cell` has a style of its own.
            style: Of the whole line, if it is given as one.
        """
        if not self.as_json:
            parts = [Cell(text, style)] if isinstance(text, str) else text
            write("".join(map(_painted, parts)))

    def done(self, facts: dict[str, Any], sentence: str) -> None:
        """Print what was done: the facts, or the sentence."""
        if self.as_json:
            self.document(facts)
        else:
            self.say(sentence)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """Print a table."""
        write(table_text(columns, rows), end="")


def table_text(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text, fit for stdout."""
    console = stdout_console()
    with console.capture() as capture:
        console.print(rich_table(columns, rows))
    lines = capture.get().splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def rich_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> RenderableType:
    """Return a table without lines: one row a line, cut where it must be."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    cells = [[printable(cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=HEAD)
    for position, column in enumerate(columns):
        gives_way = column.cut or column.wrap
        width = max(cell_len(text) for text in (column.title, *(row[position] for row in cells)))
        table.add_column(
            Text(column.title, no_wrap=True),
            justify="right" if column.right else "left",
            no_wrap=not gives_way,
            min_width=min(width, LEAST_WIDTH) if gives_way else width,
        )
    for row, texts in zip(rows, cells, strict=True):
        table.add_row(
            *(
                Text(
                    text,
                    getattr(cell, "style", ""),
                    no_wrap=not column.wrap,
                    overflow="fold" if column.wrap else "ellipsis",
                )
                for column, cell, text in zip(columns, row, texts, strict=True)
            )
        )
    return table


def stdout_console() -> Console:
    """Return rich's console for stdout, colourless where colours are not wanted."""
    from rich.console import Console

    seen = is_terminal(sys.stdout)
    return Console(
        file=sys.stdout or io.StringIO(),
        color_system="auto" if colours() else None,
        width=None if seen or "COLUMNS" in os.environ else UNLIMITED_COLUMNS,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def colours() -> bool:
    """Whether stdout takes colours: a terminal that is not dumb, and no `NO_COLOR`."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and is_terminal(sys.stdout)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal. None: it was closed before this process began."""
    return stream is not None and stream.isatty()


def _json(text: str) -> str:
    return harmless_json(text, ascii_only=not encodes(sys.stdout, "\U0001f600"))


def _painted(part: str) -> str:
    """Return a part of a line, made harmless, in its style if stdout takes colours."""
    text, style = printable(part), getattr(part, "style", "")
    if not style or not colours():
        return text
    if style in (DIM, HEAD):
        return click.style(text, dim=style == DIM or None, bold=style == HEAD or None)
    return click.style(text, fg=style)


def note(text: str) -> None:
    """Write a passing note to the terminal, over the one before. An empty one wipes it."""
    if is_terminal(sys.stderr):
        # Not by `write`: these two codes are ours, and the only ones.
        sys.stderr.write(f"\r\x1b[2K{printable(text)}")
        sys.stderr.flush()


class Counter:
    """Shows how many are done of something long, on a terminal, five times a second."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._next_s = time.monotonic() + 0.2

    def __call__(self, done: int) -> None:
        """Take the number so far."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + 0.2
            note(f"{done:,} {self._verb} so far; Ctrl-C stops here")

    def end(self) -> None:
        """Wipe the note."""
        note("")


def as_data(value: object) -> Any:
    """Return a record as plain JSON data: moments as ISO texts."""
    import msgspec

    return msgspec.to_builtins(value)


def moment_text(at: datetime | None) -> str:
    """Return a moment in local time, to the second."""
    return "-" if at is None else local(at).strftime("%Y-%m-%d %H:%M:%S")


def local(at: datetime) -> datetime:
    """Return a moment in local time, or in UTC where it is too far for that."""
    try:
        return at.astimezone()
    except (OverflowError, ValueError):  # within hours of the first or the last year
        return at


def ago(at: datetime | None) -> str:
    """Return how long ago a moment was, in a few characters."""
    return "-" if at is None else short_duration((datetime.now(UTC) - at).total_seconds())


def short_duration(duration_s: float | None) -> str:
    """Return a duration in at most four characters: `0s`, `59s`, `3m`, `2h`, `9d`, `4y`."""
    if duration_s is None:
        return "-"
    whole = max(0, round(duration_s))
    for unit, size_s, most in (("s", 1, 100), ("m", 60, 100), ("h", 3600, 48), ("d", 86400, 1000)):
        if whole < size_s * most:
            return f"{whole // size_s}{unit}"
    return f"{whole // (365 * 86400)}y"


def short_bytes(size: float) -> str:
    """Return a size for people: `812 B`, `4.2 kB`, `31 MB`."""
    unit, *larger = ("B", "kB", "MB", "GB", "TB")
    while size >= 1000 and larger:
        size /= 1000
        unit, *larger = larger
    return f"{size:.1f} {unit}" if size < 10 and unit != "B" else f"{size:.0f} {unit}"


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """Return `1 job`, `3 jobs`; `nouns` where an s at the end is not enough."""
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"


__all__ = [
    "BAD",
    "DIM",
    "GOOD",
    "HEAD",
    "WARN",
    "Cell",
    "Column",
    "Counter",
    "Output",
    "ago",
    "as_data",
    "colours",
    "is_terminal",
    "moment_text",
    "note",
    "plural",
    "printable",
    "printable_lines",
    "rich_table",
    "short_bytes",
    "short_duration",
    "stdout_console",
    "table_text",
    "write",
]
