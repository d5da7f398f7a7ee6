"""Compares a value with the one that its JSON decodes to, and reports the first difference.

JSON has its own form for some types: an object for a dataclass, an array for a tuple or a set, text
for a moment, an id, a `Decimal`, an enum or a path. A value in that form counts as equal, if all of
it arrives. Text for bytes does not count: it could be plain or base64.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from toril.core.checks import nearest
from toril.core.models import is_model, spellings


class Difference(NamedTuple):
    """The first difference."""

    path: str
    """Where: `.lines[0].text`. Empty: the value itself."""
    text: str
    """What."""


def difference(
    given: Any, got: Any, *, from_json: bool = False, as_json: bool = False
) -> Difference | None:
    """Return the first difference between two values. None: there is none.

    Parameters:
        given: What was given.
        got: What came back.
        from_json: `given` was read from JSON, so a text in it may stand for bytes.
        as_json: `got` may be JSON's spelling of `given`.
    """
    try:
        return _Comparison(from_json, as_json).look(given, got, "")
    except RecursionError:
        return Difference("", "it is nested too deep")


def is_equal(given: Any, got: Any) -> bool:
    """Whether two values are equal by their own `==`; no if it raises."""
    try:
        return bool(given == got)
    except Exception:  # somebody's __eq__
        return False


def not_a_number(value: Any, path: str = "") -> Difference | None:
    """Return where in some JSON NaN or an infinity is; None: nowhere."""
    if isinstance(value, float) and not math.isfinite(value):
        return Difference(path, f"{value} is not a JSON number")
    if isinstance(value, Mapping):
        for key in value:
            if (found := not_a_number(key, f"{path}.{key}")) is not None:
                return found
    for step, item in parts(value):
        if (found := not_a_number(item, path + step)) is not None:
            return found
    return None


def parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Return the parts of a value, each with its step of the path: `.name` or `[0]`."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield f".{key}", item
    elif isinstance(value, list | tuple | set | frozenset | deque):
        for number, item in enumerate(value):
            yield f"[{number}]", item
    elif (names := record_fields(type(value))) is not None:
        for wire_name, name in names.items():
            yield f".{wire_name}", getattr(value, name, None)


def short(value: object) -> str:
    """Return what a value looks like, in a line."""
    try:
        text = repr(value)
    except Exception as error:  # somebody's __repr__
        return f"a {type(value).__qualname__} whose repr() raised {type(error).__qualname__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


class _Comparison:
    def __init__(self, from_json: bool, as_json: bool) -> None:
        self._from_json = from_json
        self._as_json = as_json

    def look(self, given: Any, got: Any, path: str) -> Difference | None:
        # Of what consists of others each part is looked at: its `__eq__` may know only some.
        if isinstance(given, float) and not math.isfinite(given):
            return Difference(path, f"{given} is not a JSON number")
        if isinstance(given, Mapping):
            return self._mapping(given, got, path)
        if isinstance(given, _ARRAYS):
            return self._array(given, got, path)
        names = record_fields(type(given))
        if names is not None:
            return self._record(given, got, names, path)
        if isinstance(given, msgspec.Raw):  # it equals nothing
            text = bytes(got) if isinstance(got, msgspec.Raw) else msgspec.json.encode(got)
            return self.look(msgspec.json.decode(given), msgspec.json.decode(text), path)
        if given is got or is_equal(given, got) or self._spelled(given, got):
            return None
        return self._changed(given, got, path)

    def _mapping(self, given: Mapping[Any, Any], got: Any, path: str) -> Difference | None:
        if isinstance(got, Mapping):
            return self._mappings(given, got, path)
        if is_model(type(got)):
            return self._known_to_model(given, got, path)
        names = record_fields(type(got))
        if names is None or isinstance(got, tuple):
            return self._changed(given, got, path)
        tag = _tag_field(type(got))
        for key, value in given.items():
            name = names.get(key)
            if name is None and key == tag:
                continue
            if name is None:
                return Difference(f"{path}.{key}", _unknown(key, names))
            if (found := self.look(value, getattr(got, name), f"{path}.{key}")) is not None:
                return found
        return None

    def _mappings(
        self, given: Mapping[Any, Any], got: Mapping[Any, Any], path: str
    ) -> Difference | None:
        if len(given) != len(got):
            for key in given:
                if key not in got:
                    return Difference(f"{path}.{key}", _unknown(key, got))
            return self._changed(given, got, path)
        # JSON keeps the order, so the keys stand in pairs.
        for (key, value), (got_key, got_value) in zip(given.items(), got.items(), strict=True):
            place = f"{path}.{key}"
            is_spelled = isinstance(key, str) and not isinstance(got_key, bytes)
            if not is_spelled and (found := self.look(key, got_key, place)) is not None:
                return Difference(place, f"as a key, {found.text}")
            if (found := self.look(value, got_value, place)) is not None:
                return found
        return None

    def _known_to_model(self, given: Any, got: Any, path: str) -> Difference | None:
        """Look for what a pydantic model has dropped.

        It may turn values into others: that is what it is for, and it is made of them here just as
        it would be by the caller.
        """
        if is_model(type(got)) and "root" in type(got).model_fields:  # of one value without a name
            return self._known_to_model(given, got.root, path)
        if is_model(type(got)) and isinstance(given, Mapping):
            names = spellings(type(got))
            extra = getattr(got, "model_extra", None) or {}
            for key, value in given.items():
                if key not in names and key not in extra:
                    return Difference(f"{path}.{key}", _unknown(key, names))
                inner = getattr(got, names[key], None) if key in names else extra[key]
                if (found := self._known_to_model(value, inner, f"{path}.{key}")) is not None:
                    return found
        elif isinstance(given, list | tuple) and isinstance(got, list | tuple):
            for number, (one, other) in enumerate(zip(given, got, strict=False)):
                if (found := self._known_to_model(one, other, f"{path}[{number}]")) is not None:
                    return found
        elif isinstance(given, Mapping) and isinstance(got, Mapping):
            for (key, one), other in zip(given.items(), got.values(), strict=False):
                if (found := self._known_to_model(one, other, f"{path}.{key}")) is not None:
                    return found
        elif isinstance(given, Mapping) and record_fields(type(got)) is not None:
            return self._mapping(given, got, path)
        return None

    def _array(self, given: Any, got: Any, path: str) -> Difference | None:
        ordered = isinstance(given, list | tuple | deque)
        if not ordered and is_equal(given, got):
            return None
        if ordered and is_model(type(got)):
            return self._known_to_model(given, got, path)
        if ordered and isinstance(got, set | frozenset):
            if len(got) == len(given):
                return None
            return Difference(path, "it holds a value twice, which a set cannot")
        if self._as_json and not ordered and isinstance(got, list):
            return None
        if _is_struct(got) and got.__struct_config__.array_like:
            values = [getattr(got, name) for name in record_fields(type(got)) or ()]
            got = values if got.__struct_config__.tag is None else [given[0], *values]
        if not ordered or not isinstance(got, list | tuple | deque) or len(given) > len(got):
            return self._changed(given, got, path)
        for number, (one, other) in enumerate(zip(given, got, strict=False)):
            if (found := self.look(one, other, f"{path}[{number}]")) is not None:
                return found
        return None

    def _record(
        self, given: Any, got: Any, names: Mapping[str, str], path: str
    ) -> Difference | None:
        if self._as_json and isinstance(got, Mapping | list):
            return None
        if type(given) is not type(got):
            return self._changed(given, got, path)
        for wire_name, name in names.items():
            one, other = getattr(given, name, None), getattr(got, name, None)
            if (found := self.look(one, other, f"{path}.{wire_name}")) is not None:
                return found
        if is_model(type(given)) and not is_equal(given, got):
            return self._changed(given, got, path)  # something of it that is no field
        return None

    def _spelled(self, given: Any, got: Any) -> bool:
        """Whether one is JSON's spelling of the other."""
        if isinstance(given, str):
            if isinstance(got, bytes | bytearray | memoryview):
                return self._from_json
            return not isinstance(got, str | int | float | None) or isinstance(got, Enum)
        if isinstance(got, Enum):
            return bool(got.value == given)
        if isinstance(given, datetime) and isinstance(got, datetime):
            return _is_same_moment(given, got)
        if self._from_json and isinstance(given, int | float):
            return not isinstance(got, str | int | float | None)
        return self._as_json and isinstance(got, str | int)

    def _changed(self, given: Any, got: Any, path: str) -> Difference:
        before, after = short(given), short(got)
        if hasattr(given, "get_secret_value"):
            return Difference(path, f"{before} is written as asterisks; pass where it is kept")
        if before == after:
            return Difference(path, f"it is {before}, and what JSON gives back is not equal to it")
        if type(given) is not type(got) and isinstance(given, type(got)):
            kind, base = type(given).__qualname__, type(got).__qualname__
            return Difference(path, f"{before} would arrive as a {base}, not as a {kind}")
        way_out = ""
        if isinstance(given, str) and isinstance(got, bytes):
            way_out = "; give bytes"
        return Difference(path, f"{before} would arrive as {after}{way_out}")


_ARRAYS = (list, tuple, set, frozenset, deque)


def _is_same_moment(given: datetime, got: datetime) -> bool:
    """Whether two moments are the same. `==` says no for one that its zone has twice."""
    if given.tzinfo is None or got.tzinfo is None:
        return False
    try:
        return given.astimezone(UTC) == got.astimezone(UTC)
    except OverflowError:  # in the year 0 or 10,000
        return False


def _unknown(key: object, known: Mapping[Any, Any]) -> str:
    close = nearest(str(key), [str(one) for one in known])
    return "unknown; did you mean " + repr(close) + "?" if close else "unknown; it would be dropped"


def _is_struct(value: Any) -> bool:
    return isinstance(value, msgspec.Struct)


def record_fields(kind: Any) -> dict[str, str] | None:
    """Return the attributes of a kind of record by their names on the wire; None: it is none."""
    if issubclass(kind, msgspec.Struct):
        return {field.encode_name: field.name for field in msgspec.structs.fields(kind)}
    if is_model(kind):
        return {name: name for name in kind.model_fields}
    if is_dataclass(kind):
        return {field.name: field.name for field in dataclass_fields(kind)}
    attributes = getattr(kind, "__attrs_attrs__", None)
    return None if attributes is None else {one.name: one.name for one in attributes}


def _tag_field(kind: Any) -> str | None:
    config = getattr(kind, "__struct_config__", None)
    return None if config is None else config.tag_field
