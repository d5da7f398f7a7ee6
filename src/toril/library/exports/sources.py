"""Where rows come from, and what may be asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from toril.core.checks import require, unknown
from toril.services.unusable import UnusableInputError, named

Operator = Literal["eq", "gte", "lte", "in"]
Row = Sequence[Any]
"""One value for each wanted column, in their order."""
DEFAULT = "default"
"""The source of a payload that names none."""
PART_ROWS = 2000
"""How many rows sources of ours give at a time."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a row has to fulfil."""

    column: str
    operator: Operator
    value: Any
    """Of the column's type; for `in` a tuple of such."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows are wanted, and what of them."""

    columns: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that fulfil all conditions."""

    total: int
    """How many there are."""
    parts: Iterable[Sequence[Row]]
    """The rows, some at a time, once."""


class DataSource(Protocol):
    """A table of rows. Has to go to a child process, by pickle."""

    def columns(self) -> Mapping[str, type]:
        """Return what may be read and asked for: column to type, in the order of a whole row.

        The types are `bool`, `int`, `float`, `str`, `bytes`, `datetime`, `date`, `Decimal`; others
        can be read, and not be asked for.
        """
        ...

    def open(self, wanted: Wanted) -> AbstractContextManager[Rows]:
        """Read rows, all as they are at one moment, in an order that is always the same.

        Memory has to stay bounded, however many there are.
        """
        ...


class RowsSource:
    """Rows in memory, for tests and small tables."""

    def __init__(self, columns: Mapping[str, type], rows: Sequence[Row]) -> None:
        self._columns = dict(columns)
        self._rows = list(rows)

    def columns(self) -> Mapping[str, type]:
        """Return the columns that were given."""
        return self._columns

    @contextmanager
    def open(self, wanted: Wanted) -> Iterator[Rows]:
        """Read the rows, in the order in which they were given."""
        names = list(self._columns)
        places = [names.index(name) for name in wanted.columns]
        found = [
            [row[place] for place in places]
            for row in self._rows
            if all(_fulfils(row[names.index(one.column)], one) for one in wanted.conditions)
        ]
        parts = (found[at : at + PART_ROWS] for at in range(0, len(found), PART_ROWS))
        yield Rows(len(found), parts)


class Sources:
    """The data sources of an app, by name: `app.provide(Sources({"orders": source}))`.

    Raises:
        InvalidOptionError: There is none.
    """

    def __init__(self, sources: Mapping[str, DataSource]) -> None:
        require(bool(sources), "sources", {}, "at least one source, by its name")
        self._sources = dict(sources)

    def find(self, name: str) -> DataSource:
        """Return a source.

        Raises:
            UnusableInputError: There is none of this name; the message names those that are there.
        """
        found = self._sources.get(name)
        if found is None:
            reason = unknown("source", name, self._sources)
            raise UnusableInputError(named("filters.source", name), reason)
        return found


def _fulfils(value: Any, condition: Condition) -> bool:
    if condition.operator == "eq":
        return bool(value == condition.value)
    if value is None:
        return False
    if condition.operator == "in":
        return value in condition.value
    if condition.operator == "gte":
        return bool(value >= condition.value)
    return bool(value <= condition.value)
