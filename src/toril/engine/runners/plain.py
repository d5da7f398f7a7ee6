"""Values of plain types as bytes and back, keeping their types. Reading them runs no code.

For what a child process says of an exception: numbers, texts, moments, and collections of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from toril.engine.texts import MAX_CARRIED_BYTES, beginning

MAX_LEVELS = 8
MAX_ITEMS = 1000
"""Of one collection."""

_MAKERS: dict[str, Callable[[Any], object]] = {
    "int": int,
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda parts: timedelta(*parts),
    "decimal": Decimal,
    "uuid": UUID,
}
_LARGEST_INT = 2**63


class NotPlainError(Exception):
    """A value of another type, or too much of one."""


def to_bytes(value: object) -> bytes:
    """Return a plain value as bytes.

    Raises:
        NotPlainError: It is none.
    """
    return msgspec.msgpack.encode(_tagged(value, MAX_LEVELS))


def from_bytes(data: bytes) -> Any:
    """Return the value of `to_bytes`.

    Raises:
        Exception: Of any kind, if these bytes are not from there.
    """
    return _value(msgspec.msgpack.decode(data))


def _tagged(value: object, levels: int) -> object:
    """Return a value in MessagePack's own types; a list begins with the type that it stands for."""
    if value is None or isinstance(value, bool | float | bytes):
        return value
    if isinstance(value, str):
        return beginning(str(value), MAX_CARRIED_BYTES)
    if isinstance(value, int):
        number = int(value)
        return number if abs(number) < _LARGEST_INT else ["int", str(number)]
    if isinstance(value, datetime):
        aware = value.tzinfo is not None and value.utcoffset() is not None
        return ["datetime", (value.astimezone(UTC) if aware else value).isoformat()]
    if isinstance(value, date):
        return ["date", value.isoformat()]
    if isinstance(value, time) and value.tzinfo is None:
        return ["time", value.isoformat()]
    if isinstance(value, timedelta):
        return ["timedelta", [value.days, value.seconds, value.microseconds]]
    if isinstance(value, Decimal):
        return ["decimal", str(value)]
    if isinstance(value, UUID):
        return ["uuid", value.hex]
    if isinstance(value, os.PathLike):
        return _tagged(os.fspath(value), levels)
    return _collection(value, levels - 1)


def _collection(value: object, levels: int) -> object:
    if levels < 0:
        raise NotPlainError
    if isinstance(value, dict) and len(value) <= MAX_ITEMS:
        pairs = [[_tagged(part, levels) for part in pair] for pair in value.items()]
        return ["dict", pairs]
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind) and len(value) <= MAX_ITEMS:
            return [kind.__name__, [_tagged(item, levels) for item in value]]
    raise NotPlainError


def _value(tagged: Any) -> Any:
    if not isinstance(tagged, list):
        return tagged
    tag, content = tagged
    if tag == "dict":
        return {_value(key): _value(item) for key, item in content}
    if isinstance(content, list) and tag != "timedelta":
        content = [_value(item) for item in content]
    return _MAKERS[tag](content)
