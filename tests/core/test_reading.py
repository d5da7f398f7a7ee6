"""Reading JSON that anybody may have written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.poison import DEEP, TEXTS

from toril.core.nesting import MAX_NESTING as DEEPEST
from toril.core.reading import LARGEST, RawText, read, read_list, read_object, whole
from toril.engine.options import MAX_COUNT

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(values)
def test_json_is_read(value: object) -> None:
    assert read(json.dumps(value)) == value


@given(st.text(st.characters()))
def test_any_text_is_read(text: str) -> None:
    read(text)
    assert isinstance(read_object(text), dict)


@pytest.mark.parametrize("name", sorted(TEXTS.keys() - {"long number", "half an emoji"}))
def test_what_python_has_no_value_for_keeps_its_text(name: str) -> None:
    found = read(TEXTS[name])

    assert found == RawText(TEXTS[name])
    assert str(found) == TEXTS[name]


def test_half_a_character_is_read_as_its_replacement() -> None:
    assert read(TEXTS["half an emoji"]) == {"n": "\ufffd"}


def test_as_many_levels_are_read_as_can_be_written_again() -> None:
    deepest = "[" * DEEPEST + "]" * DEEPEST
    flat = json.dumps([[]] * 2 * DEEPEST)

    assert json.dumps(read(deepest)) == deepest
    assert read(flat) == [[]] * 2 * DEEPEST
    assert read(f"[{deepest}]") == RawText(f"[{deepest}]")
    assert read(f'{{"a":{deepest}}}') == RawText(f'{{"a":{deepest}}}')
    brackets = '"' + "[" * 2 * DEEPEST + '"'
    assert read(brackets) == "[" * 2 * DEEPEST


def test_other_values_than_objects_are_read_as_empty_ones() -> None:
    assert read_object('{"a":1}') == {"a": 1}
    assert [read_object(text) for text in ("[1]", "7", "null", "{", DEEP)] == [{}] * 5
    assert read_list("[1]") == [1]
    assert [read_list(text) for text in ('{"a":1}', '"x"', "null", "[", DEEP)] == [[]] * 5


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7), ("7", 7), (7.6, 8), ("7.6", 8), ("1e3", 1000), (-3, -3), ("-3", -3),
        (1.7e300, LARGEST), ("1.7e18", LARGEST), ("9" * 400, LARGEST), ("-" + "9" * 400, -LARGEST),
        (10**400, LARGEST), ("9" * 5000, 0), (float("nan"), 0), ("nan", 0), ("inf", 0),
        (float("inf"), 0), ("x", 0), ("", 0), (None, 0), ([], 0), ({}, 0), (True, 1),
    ],
)  # fmt: skip
def test_whole_number_of_anything(value: object, expected: int) -> None:
    assert whole(value) == expected


def test_what_is_read_is_cut_where_options_are() -> None:
    assert LARGEST == MAX_COUNT


def test_whole_number_of_nothing_is_what_was_asked_for() -> None:
    assert [whole(value, 5) for value in (None, "x", float("nan"))] == [5, 5, 5]
