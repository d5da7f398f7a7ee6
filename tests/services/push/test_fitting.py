"""A message that is too large: what is cut, and where."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toril.services.push.fitting import fitted
from toril.services.push.port import MAX_BYTES
from toril.services.unusable import UnusableInputError

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
THUMB = "\U0001f44d\U0001f3fd"
FLAG = "\U0001f1e9\U0001f1ea"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
ACCENT = "e\u0301\u0308"
HEART = "\u2764\ufe0f"


def body(text: str, max_bytes: int, **others: object) -> str:
    found = fitted({"title": "T", "body": text, **others}, max_bytes=max_bytes)
    assert len(found) <= max_bytes
    read = json.loads(found)
    assert {name: read[name] for name in read if name != "body"} == {"title": "T", **others}
    assert isinstance(read["body"], str)
    return read["body"]


def test_message_that_fits_is_left_as_it_is() -> None:
    exact = "x" * (MAX_BYTES - len('{"title":"T","body":""}'))

    assert body(exact, MAX_BYTES) == exact
    assert body(exact + "y", MAX_BYTES) == exact


def test_ten_thousand_characters_with_emoji_are_cut_to_fit() -> None:
    text = ("a" + FAMILY) * 1700

    found = body(text, MAX_BYTES)

    assert text.startswith(found)
    assert len(found.encode()) > MAX_BYTES - 60
    assert found.endswith(("a", FAMILY))


@pytest.mark.parametrize("unit", [FAMILY, THUMB, FLAG, SCOTLAND, ACCENT, HEART, "é", "😀", "\r\n"])
def test_cut_falls_between_what_a_reader_sees(unit: str) -> None:
    text = unit * 30

    for max_bytes in range(30, 200):
        found = body(text, max_bytes)
        assert text.startswith(found)
        assert found == unit * (len(found) // len(unit))


def test_what_takes_more_bytes_as_json_is_counted_so() -> None:
    text = '"\\\n\x01' * 1000

    found = body(text, 500)

    assert text.startswith(found)
    assert len(fitted({"title": "T", "body": text}, max_bytes=500)) > 490


def test_other_fields_are_never_cut() -> None:
    found = body("b" * 5000, 300, url="/" + "u" * 200, data={"n": [1]})

    assert found == "b" * 50


@pytest.mark.parametrize("more", [{"body": "b"}, {}, {"body": 5}])
def test_message_that_never_fits_says_why(more: dict[str, object]) -> None:
    with pytest.raises(UnusableInputError, match=r"40\d\d bytes without its body; push services"):
        fitted({"title": "t" * 4000, **more})


def test_half_of_a_character_is_refused() -> None:
    with pytest.raises(UnusableInputError, match="cannot be written as JSON"):
        fitted({"title": "\ud83d", "body": ""})


@given(text=st.text(max_size=300), max_bytes=st.integers(23, 400))
def test_whatever_the_text_the_result_fits_and_is_its_beginning(text: str, max_bytes: int) -> None:
    found = body(text, max_bytes)

    assert text.startswith(found)
    if len(found) < len(text):
        assert unicodedata.category(text[len(found)]) not in ("Mn", "Me", "Mc")
