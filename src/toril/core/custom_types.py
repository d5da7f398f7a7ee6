"""Converts types that msgspec does not know to JSON and back.

pydantic models become what pydantic says, if it is installed. Paths, IP addresses and fractions
become text; `deque` and `Iterable` an array; `OrderedDict` an object. All other types are refused.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any, get_args, get_origin

import msgspec

from toril.core.differences import difference
from toril.core.models import dumps, is_model, validated

# By name: a program that has none of these types need not import their modules.
_TEXTS = frozenset({
    "fractions.Fraction",
    "ipaddress.IPv4Address",
    "ipaddress.IPv4Interface",
    "ipaddress.IPv4Network",
    "ipaddress.IPv6Address",
    "ipaddress.IPv6Interface",
    "ipaddress.IPv6Network",
})  # fmt: skip


def is_carried(kind: Any) -> bool:
    """Whether the hooks below can convert a type that msgspec does not know."""
    origin: Any = get_origin(kind) or kind
    if origin in (object, deque, OrderedDict, Iterable):
        return True
    return isinstance(origin, type) and (_is_text(origin) or is_model(origin))


def encode_hook(value: object) -> object:
    """Turn a value into one that msgspec can write."""
    kind: type[Any] = type(value)
    if is_model(kind):
        return _dumped(value)
    if isinstance(value, deque):
        return list(value)
    if _is_text(kind):
        return str(value)
    raise TypeError(f"{kind.__qualname__} is not a type that JSON can carry")


def plain_hook(value: object) -> object:
    """As `encode_hook`, and for `msgspec.Raw`, which `msgspec.to_builtins` does not know."""
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else encode_hook(value)


def decode_hook(kind: Any, value: object) -> object:
    """Make a value of a type from what msgspec has read."""
    origin: Any = get_origin(kind) or kind
    if is_model(origin):
        return validated(origin, msgspec.json.encode(value))
    if _is_text(origin):
        if not isinstance(value, str):
            raise ValueError(f"Expected `str` for `{origin.__qualname__}`")
        return origin(value)
    if origin is object:
        return value
    if origin in (deque, Iterable):
        (item,) = get_args(kind) or (Any,)
        items = _converted(value, list[item])  # type: ignore[valid-type]
        return items if origin is Iterable else deque(items)
    if origin is OrderedDict:
        key, item = get_args(kind) or (Any, Any)
        return OrderedDict(_converted(value, dict[key, item]))  # type: ignore[valid-type]
    raise TypeError(f"{origin.__qualname__} is not a type that JSON can carry")


def _converted(value: object, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind, dec_hook=decode_hook, str_keys=True)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None  # to this one msgspec adds where it is


def _is_text(kind: type[Any]) -> bool:
    if f"{kind.__module__}.{kind.__qualname__}" in _TEXTS:
        return True
    return any(
        base.__qualname__ == "PurePath" and base.__module__.partition(".")[0] == "pathlib"
        for base in kind.__mro__
    )


def _dumped(model: Any) -> object:
    """Return a pydantic model as JSON's types, spelled so that the model reads it back.

    Some models read their fields by alias, some by name, and some by either: the one that gives an
    equal model is taken. By alias where none does; whoever compares finds the difference.
    """
    forms = dumps(model)
    if forms[0] != forms[1]:
        for form in forms:
            try:
                again = validated(type(model), msgspec.json.encode(form))
            except (TypeError, ValueError):
                continue
            if difference(model, again) is None:
                return form
    return forms[0]
