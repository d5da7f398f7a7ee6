"""A task's result: stored as JSON, and of the annotated type again for whoever asks for it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any, Never, cast

import pytest

from toril.core.errors import InvalidOptionError, InvalidPayloadError
from toril.engine.options import RunIn
from toril.tasks.results import ResultType


def result_type(kind: Any, *, max_bytes: int = 64 * 1024, run_in: RunIn = "loop") -> ResultType:
    return ResultType("give", kind, max_bytes, run_in)


@dataclass
class Line:
    text: str
    numbers: dict[int, float]


@dataclass
class TaxedLine(Line):
    tax: int = 0


@dataclass
class Unstorable:
    callback: Callable[[], int]


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (dict[int, str], {1: "a"}, '{"1":"a"}'),
        (list[Line], [Line("x", {3: 0.5})], '[{"text":"x","numbers":{"3":0.5}}]'),
        (tuple[int, ...], (1, 2), "[1,2]"),
        (int, 5, "5"),
        (str, "x", '"x"'),
        (float, 5, "5"),
        (Path, Path("/a"), '"/a"'),
    ],
)
def test_a_result_comes_back_as_it_was(kind: Any, value: Any, text: str) -> None:
    made = result_type(kind)

    assert made.encode(value) == text
    assert made.decode(text) == value
    assert type(made.decode(text)) is (type(value) if kind is not float else float)


def test_none_is_null_whatever_the_annotation_says() -> None:
    made = result_type(dict[int, str])

    assert made.encode(None) == "null"
    assert made.decode("null") is None


@pytest.mark.parametrize("kind", [Any, object, None, type(None), Never])
def test_a_result_of_which_nothing_is_said_is_whatever_json_it_becomes(kind: Any) -> None:
    made = result_type(kind)

    text = made.encode({1: Line("x", {}), "at": datetime(2026, 1, 1, tzinfo=UTC)})

    assert made.decode(text) == {"1": {"text": "x", "numbers": {}}, "at": "2026-01-01T00:00:00Z"}


def test_where_the_annotation_says_any_a_result_may_become_json() -> None:
    made = result_type(dict[str, Any])

    value = {"line": Line("x", {3: 1.0}), "at": time(1, 2), "in": {1}, "no": Path("/a")}

    assert made.decode(made.encode(value)) == {
        "line": {"text": "x", "numbers": {"3": 1.0}}, "at": "01:02:00", "in": [1], "no": "/a",
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"^a\[0\]: nan is not a JSON number"):
        made.encode({"a": [math.nan]})


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (int, "one", "Expected `int`, got `str`"),
        (str, b"abc", "b'abc' would arrive as 'YWJj'"),
        (bytes, "abcd", "'abcd' would arrive as"),
        (list[Line], [TaxedLine("x", {})], r"^\[0\]: TaxedLine.* would arrive as a Line"),
        (list[Line], [{"text": "x", "numbers": {}, "tax": 1}], r"^\[0\]\.tax: unknown"),
        (float, math.inf, "inf is not a JSON number"),
        (
            list[Line],
            [Line("x", cast("dict[int, float]", {math.nan: 1}))],
            r"^\[0\]\.numbers\.nan: nan is not",
        ),
        (list[Line], [Line("x", {1: math.nan})], r"^\[0\]\.numbers\.1: nan is not"),
        (Any, {"a": object()}, "object is not a type that JSON can carry"),
        (list[Line], [Line(cast("str", object()), {})], r"^\[0\]\.text: object is not a type that"),
        (
            time,
            time(1, tzinfo=timezone(timedelta(seconds=37))),
            r"datetime\.time.* would arrive as",
        ),
        (datetime, datetime(1, 1, 1, tzinfo=timezone(timedelta(seconds=37))), "is not equal to it"),
        (Any, {"a": time(1, tzinfo=timezone(timedelta(seconds=7)))}, "not of whole minutes"),
        (Any, datetime(1, 1, 1, tzinfo=timezone(timedelta(seconds=7))), "is no moment in UTC"),
    ],
)
def test_what_would_not_come_back_as_it_is_is_refused(kind: Any, value: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        result_type(kind).encode(value)


@pytest.mark.parametrize("kind", [Any, int, list[int]])
def test_a_result_that_is_too_large_or_has_no_end_is_refused(kind: Any) -> None:
    made = result_type(kind, max_bytes=20)
    circular: list[Any] = []
    circular.append(circular)

    assert made.encode(10**19) if kind is int else True
    for value, words in ((10**20 if kind is int else [10**9] * 3, "at most max_result_bytes=20"),):
        with pytest.raises(ValueError, match=words):
            made.encode(value)
    with pytest.raises(ValueError, match="it holds itself, or is nested"):
        made.encode(circular)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (complex, "complex cannot be stored: JSON cannot carry complex"),
        (list[complex], "JSON cannot carry complex"),
        (Iterator[int], r"JSON cannot carry collections\.abc\.Iterator\[int\]"),
        (Callable[[], int], "JSON cannot carry"),
        (dict[tuple[int, int], str], "as a key of a dict"),
        (list[Unstorable], r"Callable.*, which is Unstorable\.callback"),
        (Path | str, "unions"),
        (Awaitable[int], "JSON cannot carry"),
    ],
)
def test_a_result_that_can_never_be_stored_is_refused_where_the_task_is_defined(
    kind: Any, words: str
) -> None:
    """It was found out after the work was done, on every attempt."""
    with pytest.raises(InvalidOptionError, match=f"task 'give', its result: .*{words}"):
        result_type(kind)


def test_a_child_process_waits_for_an_awaitable() -> None:
    made = result_type(Awaitable[dict[int, str]], run_in="process")

    assert made.decode('{"1":"a"}') == {1: "a"}


def test_a_stored_result_of_another_type_is_told() -> None:
    with pytest.raises(InvalidPayloadError, match=r"field '\(result\)': Expected `int`.*at `\$\[0"):
        result_type(list[int]).decode('["x"]')


def test_half_a_character_in_nodes_result_is_read_as_its_replacement() -> None:
    assert result_type(list[str]).decode(r'["x\ud83e"]') == ["x\ufffd"]
    assert result_type(Any).decode(r'["x\ud83e"]') == ["x\ufffd"]
