"""Looks into the types of bodies and answers: which names they have, which words a field takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect as types

_STEP = re.compile(r"\.([^.\[\]]+)|\[(?:\d+|\.\.\.)\]")


@cache
def names_of(kind: Any) -> tuple[str, ...]:
    """Return the names of the fields of a struct or dataclass."""
    info = types.type_info(kind)
    return tuple(field.encode_name for field in getattr(info, "fields", ()))


@cache
def item_names(kind: Any) -> tuple[str, ...]:
    """Return the names of the fields of an answer's items. One that is no list has none."""
    for field in getattr(types.type_info(kind), "fields", ()):
        if field.encode_name == "items":
            return tuple(
                inner.encode_name
                for one in _members(field.type.item_type)
                for inner in getattr(one, "fields", ())
            )
    return ()


@cache
def is_list(kind: Any, name: str) -> bool:
    """Whether a field of a struct is a list."""
    return any(
        isinstance(field.type, types.ListType)
        for field in getattr(types.type_info(kind), "fields", ())
        if field.encode_name == name
    )


def at(kind: Any, path: str) -> Iterator[types.Type]:
    """Yield the types that are possible at a path of msgspec's, such as `$.jobs[...].name`."""
    found: list[types.Type] = list(_members(types.type_info(kind)))
    for step in _STEP.finditer(path):
        name = step[1]
        inner: list[types.Type] = []
        for one in found:
            if name is None and isinstance(one, types.ListType):
                inner += _members(one.item_type)
            for field in getattr(one, "fields", ()) if name is not None else ():
                if field.encode_name == name:
                    inner += _members(field.type)
        found = inner
    yield from found


def allowed_at(kind: Any, path: str) -> list[str]:
    """Return the words that may stand at a path; none if it is not about words."""
    words: list[str] = []
    for one in at(kind, path):
        if isinstance(one, types.LiteralType):
            words += map(str, one.values)
        elif isinstance(one, types.EnumType):
            words += [str(member.value) for member in one.cls]
    return words


def known_at(kind: Any, path: str) -> list[str]:
    """Return the names of the fields that an object at a path may have."""
    return [field.encode_name for one in at(kind, path) for field in getattr(one, "fields", ())]


def _members(one: types.Type) -> Iterator[types.Type]:
    if isinstance(one, types.UnionType):
        for member in one.types:
            yield from _members(member)
    elif isinstance(one, types.Metadata):
        yield from _members(one.type)
    else:
        yield one


def is_struct(kind: Any) -> bool:
    """Whether a type is one of msgspec's structs."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
