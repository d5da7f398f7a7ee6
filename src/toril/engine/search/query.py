"""What a search asks for, and how it is written: `parse` of `grammar.py` reads it back.

A query holds alternatives (`OR`), each with terms that all have to hold.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Operator = Literal[":", "~", ">=", "<=", ">", "<"]
OPERATORS: tuple[Operator, ...] = (":", "~", ">=", "<=", ">", "<")
"""Longer ones before those that they begin with."""

BARE = re.compile(r"[^\s\"*,()]+")
"""Text that needs no quotes where a value stands."""
_WORD = re.compile(r"\w+")
BARE_SEGMENT = re.compile(r"[^\s\".:~<>,()*]+")
"""Text that needs no quotes in a path."""
WORDS = ("OR", "AND", "NOT")
"""Words with a meaning of their own, unless quoted."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text with gaps: `*` stands for any text, also for none."""

    parts: tuple[str, ...]
    """What has to be there, in order; a gap between each and the next. One: no gap."""

    @property
    def exact(self) -> str | None:
        """The only text that fits; None if there are several."""
        return self.parts[0] if len(self.parts) == 1 else None

    def fits(self, text: str) -> bool:
        """Return whether a text fits, letter by letter. Cost: O(text), whatever the pattern."""
        first, *rest = self.parts
        if not rest:
            return text == first
        *middle, last = rest
        if not text.startswith(first):
            return False
        place = _behind(middle, text, len(first))
        return place is not None and place <= len(text) - len(last) and text.endswith(last)

    def is_in(self, text: str) -> bool:
        """Return whether its parts are in a text, in order, in upper or lower case."""
        parts = [part.lower() for part in self.parts]
        return _behind(parts, text.lower(), 0) is not None

    def __str__(self) -> str:
        return "*".join(_quoted(part, BARE) if part else "" for part in self.parts) or '""'


def _behind(parts: Sequence[str], text: str, place: int) -> int | None:
    """Return where the last of some parts ends in a text; None if they are not there in order."""
    for part in parts:
        found = text.find(part, place)
        if found < 0:
            return None
        place = found + len(part)
    return place


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that has to hold, or must not."""

    field: str
    """As `fields.py` has it; `text` is text wherever it may be."""
    operator: Operator
    values: tuple[Pattern, ...]
    """One of them has to fit. More than one only with `:`."""
    path: tuple[str, ...] = ()
    """Below `data`, `opts` or `result`: names and indexes, from the outside in."""
    negated: bool = False

    def __str__(self) -> str:
        sign = "-" if self.negated else ""
        if self.field == "text":
            (value,) = self.values
            return f"{sign}{'*'.join(_quoted(part, _WORD) if part else '' for part in value.parts)}"
        head = ".".join([self.field, *(_quoted(one, BARE_SEGMENT) for one in self.path)])
        return f"{sign}{head}{self.operator}{','.join(map(str, self.values))}"


@dataclass(frozen=True, slots=True)
class Query:
    """What a search asks for."""

    alternatives: tuple[tuple[Term, ...], ...] = ((),)
    """A job is found if all terms of one of them hold."""

    def __str__(self) -> str:
        return " OR ".join(" ".join(map(str, terms)) for terms in self.alternatives)


def _quoted(text: str, bare: re.Pattern[str]) -> str:
    if bare.fullmatch(text) and text not in WORDS:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
