"""JSON in and out, by msgspec; pydantic models where a payload has them.

Numbers that JSON has no word for (NaN, infinities) are refused rather than turned into null.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from toril.core.nesting import MAX_NESTING, is_too_deep

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None

_TOO_DEEP = f"it holds itself, or is nested more than {MAX_NESTING} levels deep"


def encode_text(value: object) -> str:
    """Return `value` as compact JSON text.

    Raises:
        TypeError: If something in it is not JSON and not a known type.
        ValueError: If it holds NaN or an infinity, holds itself, or is nested too deep.
    """
    return encode_bytes(value).decode()


def encode_bytes(value: object) -> bytes:
    """Return `value` as compact JSON bytes; errors as `encode_text`."""
    try:
        encoded = _ENCODER.encode(value)
        # msgspec writes NaN and infinities as null. Only an encoding with a null can hide one.
        if b"null" in encoded:
            _refuse_nan(value)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if is_too_deep(encoded):
        raise ValueError(_TOO_DEEP)
    return encoded


def decode(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: If it is not JSON.
    """
    return _DECODER.decode(text)


def convert(value: object, kind: Any) -> Any:
    """Return a decoded JSON value as `kind`.

    Raises:
        msgspec.ValidationError: If it does not fit; the message ends with the path.
    """
    return msgspec.convert(value, kind, dec_hook=decode_hook)


def decode_hook(kind: type, value: object) -> object:
    """Make a value of a type that msgspec does not know: pydantic models."""
    validate = getattr(kind, "model_validate", None)
    if validate is None:
        raise TypeError(f"{kind.__qualname__} is not a type that JSON can carry")
    try:
        return validate(value)
    except ValueError as error:  # pydantic.ValidationError is one
        raise ValueError(_first_problem(error)) from error


def encode_hook(value: object) -> object:
    """Turn a value that msgspec does not know into one that it does: pydantic models."""
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise TypeError(f"{type(value).__qualname__} is not a type that JSON can carry")
    return dump(mode="json")


def _first_problem(error: ValueError) -> str:
    problems = getattr(error, "errors", None)
    if not callable(problems):
        return str(error)
    first = problems()[0]
    path = ".".join(str(part) for part in first["loc"])
    return f"{first['msg']} - at `{path}`"


def _refuse_nan(value: object) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a JSON number")
    elif isinstance(value, Mapping):
        for item in value.values():
            _refuse_nan(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            _refuse_nan(item)
    elif isinstance(value, msgspec.Struct):
        _refuse_nan(msgspec.structs.asdict(value))
    elif hasattr(value, "model_dump"):
        _refuse_nan(value.model_dump())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for part in dataclasses.fields(value):
            _refuse_nan(getattr(value, part.name))


_ENCODER = msgspec.json.Encoder(enc_hook=encode_hook)
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
