"""Decides, when a task is defined, whether JSON can carry each of its annotated types."""

from __future__ import annotations

from collections import OrderedDict, abc, deque
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)
from uuid import UUID

import msgspec

from toril.core.codec import decoder_of
from toril.core.custom_types import is_carried
from toril.core.differences import record_fields
from toril.core.models import is_model, problem_of

_PLAIN = (str, int, float, bool, NoneType, None)
_KEYS = (str, int, float, bytes, datetime, date, time, timedelta, UUID, Decimal)
_OTHERS = (bytearray, memoryview, msgspec.Raw, msgspec.UnsetType)
_OBJECTS = (dict, abc.Mapping, abc.MutableMapping, OrderedDict)
_ARRAYS = (
    list, tuple, set, frozenset, abc.Collection, abc.Sequence, abc.MutableSequence, abc.Set,
    abc.MutableSet,
)  # fmt: skip

_OWN = (OrderedDict, deque, abc.Iterable)
"""Those that `core/custom_types.py` makes."""


_WHOLE_COMPARERS = ("pydantic", "pathlib", "ipaddress", "fractions")
"""Packages whose classes compare all of themselves."""


class Judgement(NamedTuple):
    """What an annotation allows."""

    decoder: msgspec.json.Decoder[Any]
    holds_any: bool
    """Something in it may be any JSON."""
    is_trusted: bool
    """`==` compares all parts of a value: no class in it has an `__eq__` of its own."""


class UncarriedError(Exception):
    """No JSON can be of this type; the text says why."""


def judge_type(kind: Any) -> Judgement:
    """Return what an annotation allows.

    Raises:
        UncarriedError: JSON cannot carry it.
    """
    try:
        walk = _Walk()
        holds_any = not is_plain(kind) and walk.look(kind)
        return Judgement(decoder_of(kind), holds_any, walk.is_trusted)
    except UncarriedError:
        raise
    except Exception as error:  # a TypeError, or what an annotation in a class raises when read
        raise UncarriedError(_said(error)) from error


def is_plain(kind: Any) -> bool:
    """Whether a type consists of JSON's own types. Most do, and need no further check."""
    if any(kind is one for one in _PLAIN):
        return True
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (list, Union, UnionType):
        return all(map(is_plain, inner))
    return origin is dict and inner[0] is str and is_plain(inner[1])


def named(kind: Any) -> str:
    """Return what a type is called."""
    return kind.__qualname__ if isinstance(kind, type) and not get_args(kind) else str(kind)


class _Walk:
    """Looks at all that a type consists of."""

    def __init__(self) -> None:
        self._seen: set[Any] = set()
        self.is_trusted = True

    def look(self, kind: Any) -> bool:
        """Return whether any JSON would do somewhere in it.

        Raises:
            UncarriedError: JSON cannot carry something in it.
        """
        kind = _bare(kind)
        if kind in (Any, object) or isinstance(kind, TypeVar):
            return True
        origin, inner = get_origin(kind) or kind, get_args(kind)
        if origin is Literal or origin in _PLAIN or origin in _KEYS or origin in _OTHERS:
            return False
        if origin in (Union, UnionType):
            _refuse_pattern_beside_many(kind)
            return self._any(inner)
        if origin in _OBJECTS and inner:
            self._key(inner[0])
        if origin in _OWN and inner:
            # msgspec does not look into them.
            own: Any = dict if origin is OrderedDict else list
            decoder_of(own[inner])
        if origin in (*_OBJECTS, *_ARRAYS, *_OWN) or (is_carried(origin) and inner):
            return not inner or self._any(inner)
        if isinstance(origin, type) and issubclass(origin, Enum):
            return False
        if _is_record(origin):
            return self._any(inner) | self._record(origin)
        if not is_carried(origin):
            raise UncarriedError(f"JSON cannot carry {named(kind)}")
        if is_model(origin) and (problem := problem_of(origin)) is not None:
            raise UncarriedError(f"JSON cannot carry {named(kind)}: {problem}")
        self.is_trusted &= _compares_all(origin)
        return False

    def _any(self, kinds: tuple[Any, ...]) -> bool:
        found = [self.look(kind) for kind in kinds if kind is not Ellipsis]  # all are looked at
        return any(found)

    def _record(self, kind: Any) -> bool:
        if kind in self._seen:
            return False
        self._seen.add(kind)
        self.is_trusted &= _compares_all(kind)
        holds_any = False
        try:
            hints = get_type_hints(kind, include_extras=True)
        except (NameError, TypeError) as error:
            raise UncarriedError(
                f"the annotations of {named(kind)} cannot be read: {error}"
            ) from None
        names = record_fields(kind)
        for name in hints if names is None else names.values():
            if name not in hints:
                raise UncarriedError(f"{named(kind)}.{name} has no annotation")
            hint = hints[name]
            if is_typeddict(kind) and _bare(hint) is msgspec.Raw:
                raise UncarriedError(f"msgspec reads no Raw in a TypedDict, as {named(kind)} is")
            try:
                holds_any |= self.look(hint)
            except UncarriedError as error:
                raise UncarriedError(f"{error}, which is {named(kind)}.{name}") from None
        return holds_any

    def _key(self, kind: Any) -> None:
        kind = _bare(kind)
        if get_origin(kind) in (Union, UnionType):
            for one in get_args(kind):
                self._key(one)
        elif not (
            kind in (Any, *_KEYS)
            or isinstance(kind, TypeVar)
            or get_origin(kind) is Literal
            or (isinstance(kind, type) and issubclass(kind, Enum))
        ):
            raise UncarriedError(
                f"JSON cannot carry {named(kind)} as a key of a dict: a key is text, a number, an"
                " enum, a moment or an id"
            )


def _refuse_pattern_beside_many(union: Any) -> None:
    """Refuse a union for which msgspec frees memory twice, and the process dies of it.

    Seen with msgspec 0.22.0: a text with a pattern in a union with an array of any length or with a
    dict. Its decoder keeps the pattern where it looks for the type of the elements.
    """
    members = list(_members(union))
    patterned = next((one for one in members if _has_pattern(one)), None)
    many = next((one for one in members if _is_many(_bare(one))), None)
    if patterned is not None and many is not None:
        raise UncarriedError(
            f"msgspec crashes on a text with a pattern beside {named(_bare(many))}; take the"
            " pattern away and check the text in the task, or give them two fields"
        )


def _members(kind: Any) -> Iterator[Any]:
    """Yield what a union consists of, unions in it taken apart."""
    bare = _bare(kind)
    if get_origin(bare) not in (Union, UnionType):
        yield kind
        return
    for inner in get_args(bare):
        yield from _members(inner)


def _has_pattern(kind: Any) -> bool:
    while True:
        if get_origin(kind) is Annotated:
            kind, *marks = get_args(kind)
            if any(getattr(mark, "pattern", None) is not None for mark in marks):
                return True
        elif (inner := _unwrapped(kind)) is not kind:
            kind = inner
        else:
            return False


def _is_many(kind: Any) -> bool:
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if origin is tuple:
        return not inner or Ellipsis in inner
    return origin in _ARRAYS or (origin in _OBJECTS and origin is not OrderedDict)


def _compares_all(kind: Any) -> bool:
    """Whether a record's `==` looks at all of it: it was made by a library, and leaves out none."""
    if is_dataclass(kind) and not all(field.compare for field in fields(kind)):
        return False
    attributes = getattr(kind, "__attrs_attrs__", ())
    if any(attribute.eq is not True for attribute in attributes):
        return False
    code = getattr(kind.__eq__, "__code__", None)
    # What dataclasses and attrs write is of no file; msgspec's and `tuple`'s is C.
    if code is None or code.co_filename.startswith("<"):
        return True
    return kind.__eq__.__module__.partition(".")[0] in _WHOLE_COMPARERS


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, TypeError) else f"{type(error).__name__}: {error}"


def _bare(kind: Any) -> Any:
    """Return a type without what typing wraps around it."""
    while (inner := _unwrapped(kind)) is not kind:
        kind = inner
    return kind


def _unwrapped(kind: Any) -> Any:
    """Return a type without the outermost wrapping; itself, if there is none."""
    if get_origin(kind) is Annotated or _is_wrapped_field(kind):
        return get_args(kind)[0]
    if (inner := getattr(kind, "__supertype__", None)) is not None:  # NewType
        return inner
    return kind.__value__ if type(kind).__name__ == "TypeAliasType" else kind


def _is_wrapped_field(kind: Any) -> bool:
    origin = get_origin(kind)
    return getattr(origin, "_name", None) in ("Required", "NotRequired", "ReadOnly", "Final")


def _is_record(kind: Any) -> bool:
    if not isinstance(kind, type):
        return False
    if is_typeddict(kind) or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
        return True
    return not is_model(kind) and record_fields(kind) is not None
