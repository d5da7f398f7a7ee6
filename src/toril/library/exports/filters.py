"""Turns what a payload asks for into what a source is asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from toril.core.checks import unknown
from toril.library.exports.sources import DEFAULT, Condition, DataSource, Operator, Sources, Wanted
from toril.services.unusable import UnusableInputError, named

OPERATORS: tuple[Operator, ...] = ("gte", "lte", "in")
"""What may stand in place of a value; a bare value has to be equal."""
MOST_VALUES = 1000
"""Of one `in`."""
_EXPECTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Decimal: "a number, or a text with one",
    datetime: "a text such as 2026-11-29T12:00:00Z",
    date: "a text such as 2026-11-29",
}


def read(
    sources: Sources, filters: Mapping[str, Any], columns: list[str] | None
) -> tuple[str, DataSource, Wanted]:
    """Return the name of the source that a payload names, the source, and what is wanted of it.

    Parameters:
        sources: Those of the app.
        filters: `source`, default `default`; and column to a value, or to a mapping of `gte`,
            `lte` and `in`.
        columns: Default: all.

    Raises:
        UnusableInputError: A source, column, operator or value makes no sense; the message names it
            and what would do.
    """
    name = filters.get("source", DEFAULT)
    if not isinstance(name, str):
        raise UnusableInputError(named("filters.source", str(name)), "expected a source's name")
    source = sources.find(name)
    known = source.columns()
    conditions = [
        condition
        for column, asked in filters.items()
        if column != "source"
        for condition in _conditions(column, asked, known)
    ]
    return name, source, Wanted(columns=_columns(columns, known), conditions=tuple(conditions))


def _columns(columns: list[str] | None, known: Mapping[str, type]) -> tuple[str, ...]:
    if columns is None:
        return tuple(known)
    for column in columns:
        if column not in known:
            raise UnusableInputError(named("columns", column), unknown("column", column, known))
    if not columns or len(set(columns)) < len(columns):
        reason = "expected at least one column, each once"
        raise UnusableInputError(named("columns", ", ".join(columns)), reason)
    return tuple(columns)


def _conditions(column: str, asked: Any, known: Mapping[str, type]) -> list[Condition]:
    subject = named("filters", column)
    if column not in known:
        raise UnusableInputError(subject, unknown("column", column, known))
    kind = known[column]
    if kind not in _EXPECTED:
        raise UnusableInputError(subject, "rows cannot be chosen by this column")
    if not isinstance(asked, Mapping):
        value = None if asked is None else _value(asked, kind, subject)
        return [Condition(column, "eq", value)]
    found = []
    for operator, value in asked.items():
        if operator not in OPERATORS:
            raise UnusableInputError(subject, unknown("operator", operator, OPERATORS))
        if operator == "in":
            found.append(Condition(column, "in", _values(value, kind, subject)))
        else:
            found.append(Condition(column, operator, _value(value, kind, subject)))
    return found


def _values(values: Any, kind: type, subject: str) -> tuple[Any, ...]:
    if not isinstance(values, list) or not 1 <= len(values) <= MOST_VALUES:
        raise UnusableInputError(subject, f"in: expected a list of 1 to {MOST_VALUES:,} values")
    return tuple(_value(value, kind, subject) for value in values)


def _value(value: Any, kind: type, subject: str) -> Any:
    """Return a value of a payload as one of a column's type."""
    try:
        return _converted(value, kind)
    except (ValueError, InvalidOperation, OverflowError):
        reason = f"expected {_EXPECTED[kind]}, not {value!r}"
        raise UnusableInputError(subject, reason) from None


def _converted(value: Any, kind: type) -> Any:
    if isinstance(value, bool) != (kind is bool):
        raise ValueError
    if kind in (bool, int, str):
        if not isinstance(value, kind):
            raise ValueError
        return value
    if kind is float:
        if not isinstance(value, int | float):
            raise ValueError
        return float(value)
    if kind is Decimal:
        if not isinstance(value, int | float | str):
            raise ValueError
        number = Decimal(str(value))
        if not number.is_finite():
            raise ValueError
        return number
    if not isinstance(value, str):
        raise ValueError
    if kind is date:
        return date.fromisoformat(value)
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
