"""Encodes answers as JSON, whatever the store holds."""

from __future__ import annotations

import msgspec


def encode(value: object) -> bytes:
    """Return an answer as JSON. What is no text, as names in a store may be, is marked."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(whole(msgspec.to_builtins(value)))


def whole(value: object) -> object:
    """Return a value of JSON's types with a mark in place of what cannot be written as UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {whole(key): whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [whole(item) for item in value]
    return value
