"""Encodes and decodes JSON, by msgspec; types that msgspec does not know, by `custom_types.py`.

Values that JSON cannot express are refused rather than changed: NaN and infinities would become
null. A moment whose UTC offset has seconds is written in UTC, as JSON's offsets are whole minutes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, TypeAlias

import msgspec

from toril.core.custom_types import decode_hook, encode_hook, plain_hook
from toril.core.differences import not_a_number
from toril.core.nesting import MAX_NESTING, is_too_deep

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None

_TOO_DEEP = f"it holds itself, or is nested more than {MAX_NESTING} levels deep"


class TooDeepError(ValueError):
    """A value is circular, or nested deeper than can be written or read."""


def encode_text(value: object) -> str:
    """Return `value` as compact JSON text.

    Raises:
        TypeError: If something in it is not JSON and not a known type.
        ValueError: If it holds NaN or an infinity, holds itself, or is nested too deep.
    """
    return encode_bytes(value).decode()


def encode_bytes(value: object) -> bytes:
    """Return `value` as compact JSON bytes; errors as `encode_text`."""
    encoded = encode_as_is(value)
    # msgspec writes NaN and infinities as null, and as keys like text. Only an encoding with one
    # of these can hide one.
    if _N in encoded and (b"null" in encoded or b'nan":' in encoded or b'inf":' in encoded):
        refuse_nan(value)
    return encode_as_is(in_whole_minutes(value)) if may_have_moments(encoded) else encoded


def encode_as_is(value: object) -> bytes:
    """Return `value` as JSON bytes. The caller checks that they read back equal.

    Raises:
        TypeError: If something in it is not JSON and not a known type.
        TooDeepError: If it is circular or nested too deep.
    """
    try:
        encoded = _ENCODER.encode(value)
    except RecursionError:
        raise TooDeepError(_TOO_DEEP) from None
    if is_too_deep(encoded):
        raise TooDeepError(_TOO_DEEP)
    return encoded


def decode(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Half a character, which JavaScript can write, is read as U+FFFD.

    Raises:
        ValueError: If it is not JSON, or nested too deep.
    """
    return decode_with(_DECODER, text)


def decode_with(decoder: msgspec.json.Decoder[Any], text: str | bytes) -> Any:
    """Return the value of a JSON text by a decoder of its type; errors as `decode`."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError:
        raise
    except RecursionError:
        raise TooDeepError("it is nested too deep") from None
    except msgspec.DecodeError:
        mended = without_halves(text)
        if mended is None:
            raise
        return decoder.decode(mended)


def without_halves(text: str | bytes) -> str | None:
    r"""Return a JSON text with U+FFFD for each half of a character. None: there is none.

    JavaScript cuts texts between the two halves of an emoji, and `JSON.stringify` writes what is
    left as `\ud83e`. No text in UTF-8 can hold that, so databases, logs and results cannot.
    """
    given = text if isinstance(text, str) else text.decode("utf-8", "replace")
    mended = _ESCAPE.sub(_whole, given)
    return None if mended == given else mended


def convert(value: object, kind: Any) -> Any:
    """Return a decoded JSON value as `kind`.

    Raises:
        msgspec.ValidationError: If it does not fit; the message ends with the path.
    """
    return msgspec.convert(value, kind, dec_hook=decode_hook)


def decoder_of(kind: Any) -> msgspec.json.Decoder[Any]:
    """Return a decoder of a type.

    Raises:
        TypeError: No JSON can be of it.
    """
    return msgspec.json.Decoder(kind, dec_hook=decode_hook)


def may_have_moments(encoded: bytes) -> bool:
    """Whether some JSON may hold aware moments: a fast check before `in_whole_minutes`."""
    # The search costs ten times what the others cost, and many texts have none of them.
    marked = _MINUS in encoded or _PLUS in encoded or _Z in encoded
    return marked and _OFFSET.search(encoded) is not None


def refuse_nan(value: object) -> None:
    """Refuse NaN and infinities, wherever in a value they are.

    Raises:
        ValueError: There is one.
    """
    found = not_a_number(msgspec.to_builtins(value, enc_hook=plain_hook))
    if found is not None:
        raise ValueError(found.text)


def in_whole_minutes(value: object) -> object:
    """Return `value` in JSON's types. Moments whose offset has seconds are moved to UTC.

    Raises:
        ValueError: One cannot be: a time of day has no other zone, or the year would be 0.
    """
    moments = (datetime, time)
    return _whole_minutes(msgspec.to_builtins(value, builtin_types=moments, enc_hook=plain_hook))


def _whole_minutes(value: Any) -> Any:
    if isinstance(value, dict):
        return {_whole_minutes(key): _whole_minutes(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole_minutes(item) for item in value]
    if isinstance(value, datetime | time) and (offset := value.utcoffset()) is not None:
        if not offset % _MINUTE:
            return value
        if isinstance(value, time):
            raise ValueError(f"{value} has an offset that is not of whole minutes")
        try:
            return value.astimezone(UTC)
        except OverflowError:
            raise ValueError(f"{value} is no moment in UTC") from None
    return value


def _whole(found: re.Match[str]) -> str:
    escape = found[0]
    if len(escape) > 6 or escape[1] != "u" or not "d800" <= escape[2:].lower() <= "dfff":
        return escape
    return "\\ufffd"


_N, _MINUS, _PLUS, _Z = b"n-+Z"
_MINUTE = timedelta(minutes=1)
_OFFSET = re.compile(rb'(?:[+-]\d\d:\d\d|\dZ)"')
"""The end of an aware moment; an offset of some seconds is written as `Z`, too."""
_ESCAPE = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.", re.DOTALL)
"""An escape, or the two of a whole character."""
_ENCODER = msgspec.json.Encoder(enc_hook=encode_hook)
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
