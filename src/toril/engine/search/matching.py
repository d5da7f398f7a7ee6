"""Whether a job is meant: a term against a job's record. Pure; the store is not asked."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from toril.core.codec import encode_text
from toril.core.reading import RawText, read
from toril.engine.job import JobRecord
from toril.engine.search.fields import SINGLE, bytes_of, moment_ms, number_of, span_s
from toril.engine.search.query import Pattern, Term
from toril.engine.states import FINISHED

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ":": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


class Subject:
    """A job that is looked at. What costs time is read once."""

    def __init__(self, record: JobRecord, now_ms: int) -> None:
        self.record = record
        self.now_ms = now_ms

    @property
    def at_ms(self) -> int:
        """When it ended; else when it was added."""
        return self.record.ended_ms if self.record.state in FINISHED else self.record.timestamp_ms

    @cached_property
    def data(self) -> Any:
        """Its payload, decoded."""
        return read(self.record.data)

    @cached_property
    def opts(self) -> Any:
        """Its options, decoded."""
        return read(self.record.opts)

    @cached_property
    def result(self) -> Any:
        """What it returned, decoded."""
        return None if self.record.result is None else read(self.record.result)


def holds(terms: tuple[Term, ...], subject: Subject) -> bool:
    """Return whether all terms hold for a job."""
    return all(_holds(term, subject) is not term.negated for term in terms)


def _holds(term: Term, subject: Subject) -> bool:
    record = subject.record
    match term.field:
        case "state":
            return any(value.exact == record.state for value in term.values)
        case "queue":
            return _fits(term, record.queue)
        case "id":
            return _fits(term, record.id)
        case "name":
            return _fits(term, record.name)
        case "error":
            return _fits(term, record.failed_reason)
        case "worker":
            return _fits(term, record.worker_id)
        case "dedup":
            return _fits(term, record.deduplication_id)
        case "parent":
            return _fits(term, None if record.parent is None else record.parent.job_id)
        case "data":
            return _in_json(term, record.data, subject.data)
        case "opts":
            return _in_json(term, record.opts, subject.opts)
        case "result":
            return record.result is not None and _in_json(term, record.result, subject.result)
        case "text":
            (value,) = term.values
            texts = (record.id, record.name, record.failed_reason)
            return any(text is not None and value.is_in(text) for text in texts) or _in_text(
                value, record.data, subject.data
            )
        case "size":
            return _compares(term, record.data_bytes, bytes_of)
        case "attempts":
            return _compares(term, record.attempts_made, number_of)
        case "stalled":
            return _compares(term, record.stalled, number_of)
        case "priority":
            return _compares(term, record.priority, number_of)
    if term.field in SINGLE:
        bound_ms = moment_ms(_text(term.values[0]), subject.now_ms)
        return subject.at_ms >= bound_ms if term.field == "since" else subject.at_ms <= bound_ms
    lasted_ms = _span_ms(term.field, subject)
    return lasted_ms is not None and _compares(term, lasted_ms / 1000, span_s)


def _span_ms(field: str, subject: Subject) -> int | None:
    record = subject.record
    started_ms, ended_ms = record.processed_on_ms, record.finished_on_ms
    if field == "age":
        return subject.now_ms - record.timestamp_ms
    if started_ms is None:
        return None
    if field == "wait":
        return max(0, started_ms - record.timestamp_ms)
    if record.lease_remaining_ms is not None:
        ended_ms = subject.now_ms
    return None if ended_ms is None else ended_ms - started_ms


def _compares(term: Term, value: float, reads: Callable[[str], float]) -> bool:
    compare = _COMPARE[term.operator]
    return any(compare(value, reads(_text(pattern))) for pattern in term.values)


def _fits(term: Term, text: str | None) -> bool:
    if text is None:
        return False
    if term.operator == "~":
        return term.values[0].is_in(text)
    return any(value.fits(text) for value in term.values)


def _in_json(term: Term, text: str, value: Any) -> bool:
    if not term.path:
        if term.operator == "~":
            return _in_text(term.values[0], text, value)
        return any(_equals(term, leaf) for leaf in _leaves(value))
    return any(_equals(term, found) for found in _below(value, term.path))


def _in_text(pattern: Pattern, text: str, value: Any) -> bool:
    """Look for text in JSON as it is stored, and as it reads without escapes."""
    if pattern.is_in(text):
        return True
    return (
        "\\" in text
        and not isinstance(value, RawText)
        and any(isinstance(leaf, str) and pattern.is_in(leaf) for leaf in _leaves(value, keys=True))
    )


def _leaves(value: Any, *, keys: bool = False) -> Iterator[Any]:
    """Go through what is at the ends of a JSON value; it is at most 500 levels deep."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            if keys:
                yield from one
            todo += one.values()
        elif isinstance(one, list):
            todo += one
        else:
            yield one


def _below(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """Go through what a path leads to: in a list by index, else in each of its elements."""
    if not path:
        yield value
        return
    step, rest = path[0], path[1:]
    if isinstance(value, dict):
        if step in value:
            yield from _below(value[step], rest)
    elif isinstance(value, list):
        if step.isdecimal():
            if len(step) < 10 and int(step) < len(value):
                yield from _below(value[int(step)], rest)
        else:
            for one in value:
                yield from _below(one, path)


def _equals(term: Term, value: Any) -> bool:
    if term.operator == "~":
        return term.values[0].is_in(_shown(value))
    if term.operator == ":":
        shown = [_shown(value)]
        if isinstance(value, list):  # as a whole, or one of its elements
            shown += map(_shown, value)
        return any(pattern.fits(text) for pattern in term.values for text in shown)
    wanted = _text(term.values[0])
    compare = _COMPARE[term.operator]
    try:
        if isinstance(value, bool | dict | list) or value is None:
            return False
        return compare(number_of(value) if isinstance(value, str) else value, number_of(wanted))
    except (ValueError, OverflowError):
        # No numbers: in the order of text, which is that of time for moments.
        return isinstance(value, str) and compare(value, wanted)


def _shown(value: Any) -> str:
    """Return a value as it is written in a search: `2`, `true`, `null`, text, or JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value.raw if isinstance(value, RawText) else encode_text(value)


def _text(pattern: Pattern) -> str:
    return pattern.parts[0]
