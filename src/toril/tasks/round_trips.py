"""Encodes a value as JSON that decodes to an equal value, or says why there is none.

The value is encoded, decoded by its declared type, and compared. A moment whose UTC offset has
seconds decodes to another one; such a value is encoded once more, in UTC.
"""

from __future__ import annotations

from typing import Any

import msgspec

from toril.core.codec import TooDeepError, encode_as_is, in_whole_minutes, may_have_moments
from toril.core.custom_types import plain_hook
from toril.core.differences import Difference, difference, is_equal, not_a_number, parts, short


class ChangedError(ValueError):
    """A value would not come back equal from JSON."""

    def __init__(self, found: Difference) -> None:
        self.path = found.path
        """Where: `.lines[0].text`. Empty: the value itself."""
        self.problem = found.text
        super().__init__(f"{found.path.removeprefix('.')}: {found.text}".removeprefix(": "))


def written(
    value: Any, decoder: msgspec.json.Decoder[Any], *, is_trusted: bool, as_json: bool = False
) -> bytes:
    """Return a value as JSON that its decoder reads back equal.

    Parameters:
        value: What is given.
        decoder: Reads it.
        is_trusted: Whether `==` compares all parts of such a value.
        as_json: Whether it may come back in JSON's spelling: part of its type is `Any`.

    Raises:
        ChangedError: It cannot be written, or would come back as another; says where.
        msgspec.ValidationError: It is not of the declared type.
    """
    try:
        encoded = encode_as_is(value)
        if as_json and may_have_moments(encoded):  # as text they would come back as they are
            encoded = encode_as_is(in_whole_minutes(value))
    except (TypeError, ValueError) as error:
        raise ChangedError(_unfit(value, error)) from error
    try:
        got = decoder.decode(encoded)
    except msgspec.ValidationError:
        _refuse_nan(value)  # it was written as null
        raise
    if is_trusted and is_equal(value, got):
        return encoded
    found = difference(value, got, as_json=as_json)
    if found is None:
        return encoded
    _refuse_nan(value)
    again = _in_utc(value)
    if again is not None and again != encoded:
        found = difference(value, decoder.decode(again), as_json=as_json)
        if found is None:
            return again
    raise ChangedError(found)


def _refuse_nan(value: Any) -> None:
    try:
        found = not_a_number(msgspec.to_builtins(value, enc_hook=plain_hook))
    except RecursionError:
        found = Difference("", "it is nested too deep")
    if found is not None:
        raise ChangedError(found)


def _in_utc(value: Any) -> bytes | None:
    try:
        return encode_as_is(in_whole_minutes(value))
    except ValueError:
        return None


def _unfit(value: Any, error: Exception) -> Difference:
    """Return where in a value that cannot be written the trouble is."""
    path = ""
    while True:
        for step, part in parts(value):
            try:
                encode_as_is(part)
            except (TypeError, ValueError) as cause:
                path, value, error = path + step, part, cause
                break
        else:
            break
        if isinstance(error, TooDeepError):
            break
    return Difference(path, f"{error}; it is {short(value)}")
