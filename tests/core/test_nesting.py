"""How deep a text is nested, against the depth of the value that it was made of."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toril.core.codec import encode_text
from toril.core.nesting import MAX_NESTING, is_too_deep

LEAVES = st.none() | st.integers() | st.text(st.sampled_from('[]{}"\\a')) | st.just("x" * 40)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('["\\'), inner, max_size=3),
    max_leaves=30,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def nested(levels: int, inside: Any = None) -> Any:
    for level in range(levels):
        inside = [inside] if level % 2 else {"a": inside}
    return inside


@given(VALUES, st.integers(0, 5))
def test_too_deep_is_what_is_nested_deeper_than_allowed(value: Any, most: int) -> None:
    assert is_too_deep(msgspec.json.encode(value), most) is (depth(value) > most)


def test_the_deepest_allowed_passes_and_one_more_does_not() -> None:
    assert not is_too_deep(msgspec.json.encode(nested(MAX_NESTING, "x" * 5000)))
    assert is_too_deep(msgspec.json.encode(nested(MAX_NESTING + 1)))
    assert not is_too_deep(msgspec.json.encode([["[[[{{{"]] * 10_000))


@pytest.mark.parametrize("levels", [MAX_NESTING + 1, 5_000, 100_000])
def test_what_is_nested_too_deep_is_refused_in_words(levels: int) -> None:
    """Once a RecursionError, which no caller took for a wrong value; or stored, and never read."""
    with pytest.raises(ValueError, match="nested more than 500 levels deep"):
        encode_text(nested(levels))


def test_what_holds_itself_is_refused_in_words() -> None:
    circle: list[Any] = [None]
    circle.append(circle)

    with pytest.raises(ValueError, match="it holds itself"):
        encode_text({"a": circle})
