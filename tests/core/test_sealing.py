"""Values are sealed for their place, opened by any key of the ring, and by no other."""

from __future__ import annotations

import base64

import pytest

from toril.core.errors import InvalidOptionError
from toril.core.sealing import MARK, CannotOpenError, KeyRing, is_sealed, new_key, parse_key


def test_value_comes_back_by_the_key_that_sealed_it() -> None:
    ring = KeyRing([new_key()])
    sealed = ring.seal(b'{"a":1e400}', "card.number")

    assert is_sealed(sealed)
    assert ring.open(sealed, "card.number") == b'{"a":1e400}'


def test_value_is_sealed_differently_each_time() -> None:
    ring = KeyRing([new_key()])

    assert ring.seal(b"1", "a") != ring.seal(b"1", "a")


def test_first_key_seals_and_all_of_them_open() -> None:
    old, new = new_key(), new_key()
    by_old = KeyRing([old]).seal(b"1", "a")
    by_new = KeyRing([new, old]).seal(b"2", "a")

    assert KeyRing([new, old]).open(by_old, "a") == b"1"
    assert KeyRing([new]).open(by_new, "a") == b"2"
    with pytest.raises(CannotOpenError, match="sealed with key"):
        KeyRing([new]).open(by_old, "a")


def test_value_of_another_field_does_not_open() -> None:
    ring = KeyRing([new_key()])

    with pytest.raises(CannotOpenError, match="comes from another field"):
        ring.open(ring.seal(b"1", "a"), "b")


@pytest.mark.parametrize("place", range(0, 40, 3))
def test_value_that_was_changed_does_not_open(place: int) -> None:
    ring = KeyRing([new_key()])
    sealed = ring.seal(b'"a secret"', "a")
    version, key, text = sealed[MARK].split(".")
    content = bytearray(base64.urlsafe_b64decode(text + "=="))
    content[place % len(content)] ^= 1
    changed = base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    with pytest.raises(CannotOpenError):
        ring.open({MARK: f"{version}.{key}.{changed}"}, "a")


@pytest.mark.parametrize("rest", ["", "A", "AAAA", "A" * 20])
def test_value_that_is_too_short_does_not_open(rest: str) -> None:
    ring = KeyRing([new_key()])
    key = ring.seal(b"1", "a")[MARK].split(".")[1]

    with pytest.raises(CannotOpenError):
        ring.open({MARK: f"1.{key}.{rest}"}, "a")


@pytest.mark.parametrize(
    "value",
    [None, 1, [], {}, {MARK: 1}, {MARK: "x"}, {MARK: "2.00000000.AAAA"}, {MARK: "1.0.A", "b": 1}],
)
def test_other_values_are_not_sealed_ones(value: object) -> None:
    assert not is_sealed(value)


@pytest.mark.parametrize(
    "text", ["", "abc", "not base64!", base64.b64encode(b"x" * 31).decode(), 5, None]
)
def test_text_that_is_no_key_is_refused_and_not_shown(text: object) -> None:
    with pytest.raises(InvalidOptionError, match="toril encryption-key") as caught:
        parse_key("TORIL_ENCRYPTION_KEYS", text)
    if text:
        assert str(text) not in str(caught.value).replace("32 bytes", "")


def test_key_is_read_in_both_alphabets_of_base64() -> None:
    secret = bytes([251, 239, 190] * 10 + [255, 254])
    plain, url = base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode()
    assert plain != url

    sealed = KeyRing([parse_key("key", plain)]).seal(b"1", "a")

    assert KeyRing([parse_key("key", url.rstrip("="))]).open(sealed, "a") == b"1"
