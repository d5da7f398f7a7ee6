from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from toril.core.codec import (
    TooDeepError,
    convert,
    decode,
    decode_with,
    decoder_of,
    encode_bytes,
    encode_text,
)

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


@attrs.define
class Height:
    metres: float


@pytest.mark.parametrize(
    "value",
    [
        Height(math.nan),
        [Height(math.inf)],
        {math.nan: 1},
        {"a": [{math.inf: None}]},
        {-math.inf: 1},
        {(date(2026, 1, 1)): [{math.nan: 1}]},
    ],
)
def test_nan_is_found_in_attrs_classes_and_keys(value: object) -> None:
    """It became null in the one, and the text "nan" in the other."""
    with pytest.raises(ValueError, match="is not a JSON number"):
        encode_text(value)


def test_texts_that_look_like_nan_are_taken() -> None:
    value = {"nan": None, "inf": 1, "-inf": "nan", "banan": {"x": None}}
    assert decode(encode_text(value)) == value


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        (timedelta(minutes=9, seconds=21), '"1889-12-31T23:50:39Z"'),
        (timedelta(seconds=20), '"1889-12-31T23:59:40Z"'),  # it was cut to nothing at all
        (-timedelta(microseconds=1), '"1890-01-01T00:00:00.000001Z"'),
        (timedelta(hours=-5), '"1890-01-01T00:00:00-05:00"'),
        (timedelta(minutes=9), '"1890-01-01T00:00:00+00:09"'),
        (timedelta(0), '"1890-01-01T00:00:00Z"'),
    ],
)
def test_offsets_that_json_cannot_write_become_utc(offset: timedelta, text: str) -> None:
    """JSON's offsets are whole minutes: 1890 in Paris, at +00:09:21, was 21 seconds off."""
    moment = datetime(1890, 1, 1, tzinfo=timezone(offset))

    assert encode_text(moment) == text
    assert encode_text([{"a": (moment,)}]) == f'[{{"a":[{text}]}}]'
    assert encode_text({moment: Line([])}) == f'{{{text}:{{"points":[]}}}}'


def test_circles_are_refused_in_words() -> None:
    circle: dict[str, Any] = {}
    circle["a"] = [circle]
    with pytest.raises(TooDeepError, match="it holds itself, or is nested"):
        encode_text(circle)
    with pytest.raises(TooDeepError, match="it is nested too deep"):
        decode("[" * 100_000 + "]" * 100_000)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"half \ud83e"', "half \ufffd"),
        (r'"\ud83e\ud83e\udd80"', "\ufffd\U0001f980"),
        (r'"\udd80\ud83e"', "\ufffd\ufffd"),
        (r'{"\uD83E": "\\ud83e \n \u0041"}', {"\ufffd": "\\ud83e \n A"}),
        (r'["\ud83e\u0041", "\ud83e\n", "\ud83e\\"]', ["\ufffdA", "\ufffd\n", "\ufffd\\"]),
        (r'["\ud83e\udd80\udd80"]', ["\U0001f980\ufffd"]),
    ],
)
def test_halves_of_characters_are_read_as_their_replacement(text: str, value: Any) -> None:
    """JavaScript cuts texts inside an emoji, and writes the half as an escape."""
    assert decode(text) == value
    assert decode(text.encode()) == value


@pytest.mark.parametrize("text", [r'"\ud83e', r'["\ud83e"', r'"\ud83"', r'"\ud83e" x'])
def test_what_is_not_json_stays_so_with_halves_in_it(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(text)


def test_a_value_of_the_wrong_type_is_told_with_halves_in_it() -> None:
    with pytest.raises(msgspec.ValidationError, match="Expected `int`, got `str`"):
        decode_with(decoder_of(int), r'"\ud83e"')
