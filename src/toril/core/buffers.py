"""Reads what `JSON.stringify` makes of a Buffer as bytes: `{"type": "Buffer", "data": [104, 105]}`.

Only where a type wants bytes. Elsewhere such an object stays what it is: data that look like one.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from toril.core.custom_types import decode_hook

_NAMED = '"Buffer"'


def decode_with_buffers(decoder: msgspec.json.Decoder[Any], text: str) -> Any:
    """Return the value of a JSON text that did not fit, with its Buffers read as bytes.

    Raises:
        ValueError: It has no Buffers, or does not fit with them either.
    """
    if _NAMED not in text:
        raise ValueError("no Buffers")
    try:
        plain, mended = json.loads(text), json.loads(text, object_hook=_as_bytes)
        if isinstance(plain, dict) and msgspec.inspect.is_struct_type(decoder.type):
            # Each member on its own: one that takes any JSON gets the Buffer as it is.
            for one in msgspec.structs.fields(decoder.type):
                name = one.encode_name
                if plain.get(name) != mended.get(name) and not _fits(plain[name], one.type):
                    plain[name] = _checked(mended[name], one.type)
        else:
            plain = _checked(mended, decoder.type)
        return decoder.decode(msgspec.json.encode(plain))
    except (msgspec.MsgspecError, TypeError, RecursionError) as error:
        raise ValueError("does not fit") from error


def _as_bytes(value: dict[str, Any]) -> object:
    """Return the bytes of a Buffer; any other object as it is."""
    if value.keys() != {"type", "data"} or value["type"] != "Buffer":
        return value
    try:
        return bytes(value["data"]) if isinstance(value["data"], list) else value
    except (TypeError, ValueError):  # it holds more than bytes
        return value


def _checked(value: object, kind: Any) -> object:
    """Return a value if it is of a type. Text is not made of bytes, which the JSON would do."""
    msgspec.convert(value, kind, dec_hook=_hook, str_keys=True)
    return value


def _fits(value: object, kind: Any) -> bool:
    try:
        _checked(value, kind)
    except (msgspec.ValidationError, TypeError):
        return False
    return True


def _hook(kind: Any, value: object) -> object:
    """Refuse bytes where the type is none of msgspec's, which reads JSON in ways of its own."""
    todo = [value]
    while todo:
        match todo.pop():
            case bytes():
                raise TypeError("bytes within a foreign type")
            case dict() as members:
                todo += members.values()
            case list() as items:
                todo += items
    return decode_hook(kind, value)
