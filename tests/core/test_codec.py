from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from toril.core.codec import convert, decode, encode_bytes, encode_text

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


class Point(msgspec.Struct):
    x: float


@dataclass
class Line:
    points: list[Point] = field(default_factory=list)


class Colour(Enum):
    RED = "red"


class Model(BaseModel):
    size: float
    inner: list[float] = []


@given(json_values)
def test_json_comes_back_as_it_was(value: Any) -> None:
    assert decode(encode_text(value)) == value
    assert encode_text(value).encode() == encode_bytes(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 1, 2, tzinfo=UTC), '"2026-01-02T00:00:00Z"'),
        (date(2026, 1, 2), '"2026-01-02"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Decimal("1.50"), '"1.50"'),
        (Colour.RED, '"red"'),
        (
            {
                1,
            },
            "[1]",
        ),
        ((1, 2), "[1,2]"),
        (Line([Point(1.5)]), '{"points":[{"x":1.5}]}'),
        (Model(size=1.5), '{"size":1.5,"inner":[]}'),
        ([Model(size=1)], '[{"size":1.0,"inner":[]}]'),
    ],
)
def test_known_types_become_json(value: object, text: str) -> None:
    assert encode_text(value) == text


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda bad: bad,
        lambda bad: [1, None, bad],
        lambda bad: {"a": {"b": (bad,)}},
        lambda bad: {bad},
        lambda bad: Line([Point(bad)]),
        lambda bad: {"none": None, "model": Model(size=bad)},
        lambda bad: [Model(size=1, inner=[bad])],
    ],
)
def test_numbers_that_json_has_no_word_for_are_refused(bad: float, wrap: Any) -> None:
    with pytest.raises(ValueError, match="is not a JSON number"):
        encode_text(wrap(bad))


def test_null_is_not_taken_for_a_hidden_nan() -> None:
    assert encode_text({"a": None, "b": [None, "null", 1.5]}) == '{"a":null,"b":[null,"null",1.5]}'


@pytest.mark.parametrize("value", [object(), {"a": object()}, lambda: None, (n for n in "ab")])
def test_what_is_not_json_is_refused_with_its_type(value: object) -> None:
    with pytest.raises(TypeError, match="is not a type that JSON can carry"):
        encode_text(value)


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        encode_text("\ud800")


@pytest.mark.parametrize("text", ["", "{", "nope", "[1,]", "\x00"])
def test_what_is_not_json_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(text)


def test_convert_makes_models_and_names_what_does_not_fit() -> None:
    assert convert({"size": 2}, Model) == Model(size=2)
    assert convert([{"x": 1.0}], list[Point]) == [Point(1.0)]
    with pytest.raises(msgspec.ValidationError, match=r"valid number.*size"):
        convert({"size": "wide"}, Model)
