"""Reads the text of a search: one grammar for the command line, URLs and pages.

A word asks one thing: `field:value`, `field~text`, `field>5`, or text alone, which may be anywhere
in a job. All words have to hold; `OR` stands between alternatives, `-` before what must not hold.
`*` in a value is a gap, a comma parts values of which one has to fit, and what is quoted is taken
as it stands. What a query looks like in memory: `query.py`.
"""

from __future__ import annotations

import re
from typing import NoReturn

from toril.core.checks import check_text, nearest
from toril.core.errors import QueryError
from toril.engine.search.fields import FIELDS, SINGLE, Field
from toril.engine.search.query import OPERATORS, Operator, Pattern, Query, Term
from toril.engine.states import State

MAX_CHARS = 2_000
MAX_TERMS = 50
MAX_ALTERNATIVES = 8
MAX_VALUES = 100
MAX_GAPS = 8
MAX_PATH = 16

_FIELD = re.compile(r"[A-Za-z_]+")
_VALUE = re.compile(r"[^\s\",*()]+")
_SEGMENT = re.compile(r"[^\s\".:~<>,()*]+")
_WORD = re.compile(r"\S+")


def parse(text: str) -> Query:
    """Return what a text asks for. An empty one asks for all jobs.

    Raises:
        QueryError: It cannot be read. The message says where, and what would do.
        InvalidOptionError: It is no text.
    """
    check_text(text, "query")
    if len(text) > MAX_CHARS:
        raise QueryError(
            f"the search has {len(text):,} characters: at most {MAX_CHARS:,} are read",
            position=MAX_CHARS + 1,
            word="",
        )
    return _Reader(text).query()


class _Reader:
    """Goes through the text once; `_place` is the next character."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0

    def query(self) -> Query:
        alternatives: list[list[Term]] = [[]]
        many = 0
        while self._skip():
            begin = self._place
            word = self._word()
            if word == "OR":
                self._place += 2
                if not alternatives[-1] or not self._skip():
                    self._refuse(begin, "OR stands between two searches, such as a OR b")
                alternatives.append([])
                if len(alternatives) > MAX_ALTERNATIVES:
                    self._refuse(begin, f"at most {MAX_ALTERNATIVES} alternatives are looked for")
                continue
            if word in ("AND", "NOT"):
                instead = (
                    "leave it out: all words have to hold"
                    if word == "AND"
                    else ("put - before what must not hold")
                )
                self._refuse(begin, f'{instead}. As text: "{word}"')
            alternatives[-1].append(self._term())
            many += 1
            if many > MAX_TERMS:
                self._refuse(begin, f"at most {MAX_TERMS} words are read")
        if len(alternatives) > 1 and not alternatives[-1]:
            self._refuse(len(self._text) - 2, "OR stands between two searches, such as a OR b")
        return Query(tuple(map(tuple, alternatives)))

    def _term(self) -> Term:
        begin = self._place
        negated = self._take("-")
        if self._ended():
            self._refuse(begin, 'what must not hold? Such as -queue:mail. As text: "-"')
        name, path, operator = self._head()
        if operator is None:
            self._place = begin + negated
            return Term("text", "~", (self._pattern(),), negated=negated)
        field = FIELDS[name]
        values = [self._value(begin, name, field, operator)]
        while self._take(","):
            if operator != ":" or name in SINGLE:
                self._refuse(self._place - 1, f"{name}{operator} takes one value; quote the comma")
            values.append(self._value(begin, name, field, operator))
            if len(values) > MAX_VALUES:
                self._refuse(begin, f"at most {MAX_VALUES} values are read")
        if not self._ended():
            self._stray()
        return Term(name, operator, tuple(values), path, negated)

    def _head(self) -> tuple[str, tuple[str, ...], Operator | None]:
        """Read `field.path` and the operator. No operator: what comes is text alone."""
        begin = self._place
        match = _FIELD.match(self._text, begin)
        if match is None:
            return "", (), None
        name = match[0]
        self._place = match.end()
        path: list[str] = []
        while self._take("."):
            segment = self._segment()
            if segment is None:  # a word with a dot
                return "", (), None
            path.append(segment)
        operator = next((one for one in OPERATORS if self._take(one)), None)
        if operator is None:
            return "", (), None
        field = FIELDS.get(name)
        if field is None:
            close = nearest(name, FIELDS)
            known = f"did you mean {close}?" if close else f"known are {', '.join(FIELDS)}."
            self._refuse(
                begin, f'there is no field {name!r}: {known} As text: "{self._word(begin)}"'
            )
        if path and not field.has_path:
            self._refuse(begin, f"{name} has nothing below it; data, opts and result have")
        if len(path) > MAX_PATH:
            self._refuse(begin, f"at most {MAX_PATH} steps down are looked")
        if operator not in field.operators or (
            field.has_path and not path and operator not in (":", "~")
        ):
            allowed = (":", "~") if field.has_path and not path else field.operators
            below = f"; below it, as in {name}.x{operator}, too" if field.has_path else ""
            self._refuse(begin, f"{name} is asked with {' '.join(allowed)}{below}")
        return name, tuple(path), operator

    def _value(self, begin: int, name: str, field: Field, operator: Operator) -> Pattern:
        place = self._place
        if self._ended() or self._text[place] == ",":
            self._refuse(begin, f'a value is missing; the empty one is {name}{operator}""')
        pattern = self._pattern()
        if field.check is not None or operator in (">", "<", ">=", "<="):
            if pattern.exact is None:
                self._refuse(place, f"* stands for text, and {name} is none here")
            if field.check is not None:
                try:
                    field.check(pattern.exact)
                except (ValueError, OverflowError):
                    close = nearest(pattern.exact, State) if name == "state" else None
                    hint = f"; did you mean {close}?" if close else ""
                    self._refuse(place, f"expected {field.expected}{hint}")
        return pattern

    def _pattern(self) -> Pattern:
        """Read text up to a space or, outside quotes, a comma after a field's operator."""
        begin = self._place
        parts = [""]
        while not self._ended():
            char = self._text[self._place]
            if char == "*":
                self._place += 1
                parts.append("")
            elif char == '"':
                parts[-1] += self._quoted()
            elif (match := _VALUE.match(self._text, self._place)) is not None:
                self._place = match.end()
                parts[-1] += match[0]
            elif char == ",":
                break
            else:
                self._stray()
        if self._place == begin:
            self._stray()
        if len(parts) - 1 > MAX_GAPS:
            self._refuse(begin, f"at most {MAX_GAPS} times * are looked for in one value")
        return Pattern(tuple(parts))

    def _segment(self) -> str | None:
        if not self._ended() and self._text[self._place] == '"':
            return self._quoted()
        match = _SEGMENT.match(self._text, self._place)
        if match is None:
            return None
        self._place = match.end()
        return match[0]

    def _quoted(self) -> str:
        begin = self._place
        self._place += 1
        text = ""
        while self._place < len(self._text):
            char = self._text[self._place]
            self._place += 1
            if char == '"':
                return text
            if char == "\\" and self._text[self._place : self._place + 1] in ('"', "\\"):
                char = self._text[self._place]
                self._place += 1
            text += char
        self._refuse(begin, 'the quote has no end; a quote within is written \\"')

    def _stray(self) -> NoReturn:
        """Refuse the next character, which has no meaning where it stands."""
        char = self._text[self._place]
        why = (
            "a comma parts values of a field"
            if char == ","
            else ("parentheses do not group; write a b OR a c")
        )
        self._refuse(self._place, f'{why}. As text: "{char}"')

    def _take(self, text: str) -> bool:
        if not self._text.startswith(text, self._place):
            return False
        self._place += len(text)
        return True

    def _skip(self) -> bool:
        """Go past spaces; return whether something is left."""
        while self._place < len(self._text) and self._text[self._place].isspace():
            self._place += 1
        return self._place < len(self._text)

    def _ended(self) -> bool:
        return self._place >= len(self._text) or self._text[self._place].isspace()

    def _word(self, place: int | None = None) -> str:
        match = _WORD.match(self._text, self._place if place is None else place)
        return "" if match is None else match[0]

    def _refuse(self, place: int, problem: str) -> NoReturn:
        word = self._word(place)
        shown = word if len(word) <= 60 else f"{word[:60]}…"
        raise QueryError(
            f"the search cannot be read at character {place + 1}, {shown!r}: {problem}",
            position=place + 1,
            word=word,
        )
