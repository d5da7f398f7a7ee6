"""What has changed between a value that was given and the one that came back."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    computed_field,
)

from toril.core.differences import difference, not_a_number, short

BERLIN_TWICE = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)


@dataclass
class Line:
    text: str


class Item(BaseModel):
    number: int = 0


class Lines(RootModel[list[Item]]): ...


class Order(BaseModel):
    model_config = ConfigDict(extra="allow")
    first: str = Field(default="", validation_alias=AliasChoices("a", AliasPath("b", 0)))
    items: list[Item] = []
    by_name: dict[str, Item] = {}
    line: Line | None = None
    lines: Lines | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> int:
        return len(self.items)


class Row(msgspec.Struct, array_like=True, tag="row"):
    a: int
    line: Line


def path_of(given: Any, got: Any, **how: bool) -> str | None:
    found = difference(given, got, **how)
    return None if found is None else found.path


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({}, None),
        ({"a": "x", "total": 5}, None),
        ({"b": ["x"]}, None),
        ({"anything": 1}, None),  # it keeps what it does not know
        ({"items": [{"number": "3"}]}, None),  # what a model makes of a value is its own
        ({"items": [{}, {"nr": 1}]}, ".items[1].nr"),
        ({"by_name": {"x": {"number": 1}, "y": {"nr": 1}}}, ".by_name.y.nr"),
        ({"line": {"text": "x", "txt": "y"}}, ".line.txt"),
        ({"lines": [{}, {"nr": 1}]}, ".lines[1].nr"),
    ],
)
def test_what_a_model_drops_is_found_at_any_depth(data: dict[str, Any], path: str | None) -> None:
    """A model ignores the fields that it does not know, unless it says otherwise."""
    assert path_of(data, Order.model_validate(data)) == path


@pytest.mark.parametrize(
    ("given", "got", "path"),
    [
        ([{}], Lines([Item()]), None),
        ([{"nr": 1}], Lines([Item()]), "[0].nr"),
        (["row", 1, {"text": "x"}], Row(1, Line("x")), None),
        (["row", 1, {"text": "x", "a": 1}], Row(1, Line("x")), "[2].a"),
        (["row", 1, {"text": "x"}, 5], Row(1, Line("x")), ""),
        (deque([1, 2]), [1, 2], None),
        ([1, 2], deque([1, 3]), "[1]"),
        ({1, 2}, [1, 2], ""),
        ([1, 2], frozenset({1, 2}), None),
        ([1], "x", ""),
        ({"a": 1}, [1], ""),
        ({"a": 1}, None, ""),
        (MappingProxyType({"a": 1}), {"a": 1}, None),
        ({"a": 1}, {"a": 1, "b": 2}, ""),
        ({"a": 1, "b": 2}, {"a": 1}, ".b"),
        ({"1": "a"}, {1: "a"}, None),
        ({"YQ==": 1}, {b"a": 1}, ".YQ=="),
        (Line("x"), {"text": "x"}, ""),
        (BERLIN_TWICE, BERLIN_TWICE.astimezone(timezone(timedelta(hours=1))), None),
        (BERLIN_TWICE, BERLIN_TWICE.astimezone(UTC) + timedelta(hours=1), ""),
        (BERLIN_TWICE, BERLIN_TWICE.replace(tzinfo=None), ""),
        ("1.1", Decimal("1.1"), None),
        ("1", 1, ""),
        ("None", None, ""),
        (1.1, Decimal("1.1"), ""),
        (True, 1, None),
    ],
)
def test_pairs(given: Any, got: Any, path: str | None) -> None:
    assert path_of(given, got) == path


@pytest.mark.parametrize(
    ("given", "got", "from_json", "as_json"),
    [
        ("YQ==", b"a", True, False),
        (1.1, Decimal("1.1"), True, False),
        ({1, 2}, [1, 2], False, True),
        (Line("x"), {"text": "x"}, False, True),
        (BERLIN_TWICE, "2026-10-25T02:30:00+01:00", False, True),
    ],
)
def test_json_may_stand_for_a_value_where_that_is_said(
    given: Any, got: Any, from_json: bool, as_json: bool
) -> None:
    assert path_of(given, got) == ""
    assert path_of(given, got, from_json=from_json, as_json=as_json) is None


def test_a_value_without_end_is_a_difference() -> None:
    def deep() -> list[Any]:
        made: list[Any] = []
        for _ in range(10_000):
            made = [made]
        return made

    found = difference(deep(), deep())

    assert found is not None
    assert found.text == "it is nested too deep"


def test_what_nan_is_a_part_of_is_named() -> None:
    found = not_a_number({"a": [1, {"b": (2.0, float("-inf"))}]})

    assert found == (".a[1].b[1]", "-inf is not a JSON number")
    assert not_a_number({"nan": "inf", "a": [1.5, None]}) is None


class Shy:
    def __repr__(self) -> str:
        raise RuntimeError


def test_a_value_is_shown_in_a_line_whatever_its_repr_does() -> None:
    assert short(Shy()) == "a Shy whose repr() raised RuntimeError"
    assert short("x" * 100) == "'" + "x" * 76 + "..."
    assert len(short("x" * 78)) == 80
