"""Types with values of them, of every kind that a program may annotate with, for Hypothesis."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path, PurePosixPath
from types import NoneType
from typing import Any, NamedTuple, Optional, TypedDict
from uuid import UUID

import attrs
import msgspec
from hypothesis import strategies as st
from pydantic import VERSION, BaseModel, Field, create_model


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Word(StrEnum):
    YES = "yes"


class Kind(NamedTuple):
    """A type, and values of it."""

    type: Any
    values: st.SearchStrategy[Any]
    is_key: bool = False
    """Its values can be the keys of a dict in JSON, and stand in a set."""


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
# Offsets of whole minutes and others, and zones that have some moments twice or never.
zones: Any = st.one_of(
    st.none(),
    st.just(UTC),
    st.integers(-86_399, 86_399).map(lambda offset_s: timezone(timedelta(seconds=offset_s))),
    st.timezones(),
)
fixed = st.none() | st.integers(-1439, 1439).map(
    lambda minutes: timezone(timedelta(minutes=minutes))
)
json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)

LEAVES = [
    Kind(int, st.integers(), True),
    Kind(float, st.floats(allow_nan=False, allow_infinity=False), True),
    Kind(str, texts, True),
    Kind(bool, st.booleans()),
    Kind(None, st.none()),
    Kind(bytes, st.binary(max_size=8), True),
    Kind(datetime, st.datetimes(datetime(2, 1, 2), datetime(9998, 1, 1), timezones=zones), True),  # noqa: DTZ001
    Kind(date, st.dates(), True),
    Kind(time, st.times(timezones=fixed), True),
    Kind(timedelta, st.timedeltas(), True),
    Kind(UUID, st.uuids(), True),
    Kind(Decimal, st.decimals(allow_nan=False, allow_infinity=False), True),
    Kind(Colour, st.sampled_from(Colour), True),
    Kind(Level, st.sampled_from(Level), True),
    Kind(Word, st.sampled_from(Word), True),
    Kind(Path, texts.filter(lambda text: "\0" not in text).map(Path)),
    Kind(PurePosixPath, texts.map(PurePosixPath)),
    Kind(ipaddress.IPv4Address, st.ip_addresses(v=4)),
    Kind(ipaddress.IPv6Address, st.ip_addresses(v=6)),
    Kind(Fraction, st.fractions()),
    Kind(Any, json_values),
    Kind(object, json_values),
]
"""What arrives, always."""
ODD_LEAVES = [
    Kind(float, st.floats(), True),
    Kind(str, st.text(max_size=8), True),
    Kind(Decimal, st.decimals().filter(lambda number: not number.is_snan()), True),
    Kind(time, st.times(timezones=zones), True),
    Kind(datetime, st.datetimes(timezones=zones, allow_imaginary=False), True),
    Kind(complex, st.complex_numbers()),
    Kind(range, st.builds(range, st.integers(0, 5))),
    Kind(Callable[[], int], st.just(lambda: 1)),
    Kind(Any, st.dates() | st.binary(max_size=3) | st.complex_numbers() | st.sampled_from(Colour)),
    Kind(Any, st.dictionaries(st.integers(0, 3) | st.sampled_from(["0", "1", None]), st.none())),
]
"""What may be refused, where it is defined or at the door."""


def kinds(leaves: list[Kind]) -> st.SearchStrategy[Kind]:
    """Return types of these leaves."""
    return st.recursive(
        st.sampled_from(leaves), lambda inner: _composed(inner, leaves), max_leaves=5
    )


@st.composite
def _composed(draw: Any, inner: st.SearchStrategy[Kind], leaves: list[Kind]) -> Kind:
    one, other = draw(inner), draw(inner)
    key = draw(st.sampled_from([leaf for leaf in leaves if leaf.is_key] + LEAVES[:1]))
    array = st.lists(one.values, max_size=3)
    keyed = st.dictionaries(key.values, one.values, max_size=3)
    records = st.tuples(one.values, other.values)
    types = {"a": one.type, "b": other.type}
    data = dataclasses.make_dataclass("Data", [*types.items()])
    struct = msgspec.defstruct("Struct", [*types.items()], rename={"a": "x-a"})
    made: list[tuple[Any, Any]] = [
        (_of(list, one), array),
        (_of(Sequence, one), array),
        (_of(Iterable, one), array),
        (_of(deque, one), array.map(deque)),
        (_of(set, key), st.sets(key.values, max_size=3)),
        (_of(frozenset, key), st.frozensets(key.values, max_size=3)),
        (tuple.__class_getitem__((one.type, ...)), array.map(tuple)),
        (_of(tuple, one, other), records),
        (_of(dict, key, one), keyed),
        (_of(Mapping, key, one), keyed),
        (_of(OrderedDict, key, one), keyed.map(OrderedDict)),
        (Optional.__getitem__(one.type), st.none() | one.values),
        (data, records.map(lambda record: data(*record))),
        (struct, records.map(lambda record: struct(*record))),
        *_more_records(types, records),
    ]
    return Kind(*draw(st.sampled_from(made)))


def _of(generic: Any, *kinds: Kind) -> Any:
    return generic[tuple(kind.type for kind in kinds)]


def _more_records(types: dict[str, Any], records: Any) -> list[tuple[Any, Any]]:
    named: Any = NamedTuple
    typed: Any = TypedDict
    fields = {name: attrs.field(type=kind or NoneType) for name, kind in types.items()}
    classes = [attrs.make_class("Attrs", fields), named("Named", [*types.items()])]
    typed_dict = typed("Typed", types, total=False)
    return [
        *((kind, records.map(lambda record, kind=kind: kind(*record))) for kind in classes),
        (typed_dict, records.map(lambda record: dict(zip("ab", record, strict=True)))),
        (typed_dict, records.map(lambda record: {"b": record[1]})),
    ]


class Inner(BaseModel):
    inner_size: int = Field(default=0, alias="innerSize")


PYDANTIC_LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (str, texts),
    (bytes, texts.map(str.encode)),
    (Optional[float], st.none() | st.floats(allow_nan=False, allow_infinity=False)),  # noqa: UP045
    (datetime, st.datetimes(timezones=st.none() | st.just(UTC))),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (UUID, st.uuids()),
    (Path, texts.filter(lambda text: "\0" not in text).map(Path)),
    (dict[int, str], st.dictionaries(st.integers(), texts, max_size=2)),
    (set[int], st.sets(st.integers(), max_size=2)),
    (Colour, st.sampled_from(Colour)),
    (Inner, st.integers().map(lambda size: Inner(innerSize=size))),
]
SPELLINGS: list[dict[str, Any]] = [{}, {"alias": "fieldName"}]
if tuple(map(int, VERSION.split(".")[:2])) >= (2, 11):  # before, pydantic could not read by name
    SPELLINGS += [{"serialization_alias": "fieldName"}, {"validation_alias": "fieldName"}]


@st.composite
def models(draw: Any) -> Kind:
    """Return pydantic models with a field of some type, by some name, with a default or none."""
    kind, values = draw(st.sampled_from(PYDANTIC_LEAVES))
    spelled = dict(draw(st.sampled_from(SPELLINGS)))
    if draw(st.booleans()):
        spelled["default"] = draw(values)
    config = {
        "extra": draw(st.sampled_from(["ignore", "forbid", "allow"])),
        "strict": draw(st.booleans()),
    }
    model = create_model("Model", __config__=config, value=(kind, Field(**spelled)))  # type: ignore[call-overload]
    given = spelled.get("validation_alias") or spelled.get("alias") or "value"
    return Kind(model, values.map(lambda value: model(**{given: value})))


def comparable(value: Any) -> Any:
    """Return a value for a comparison that no `__eq__` of its own decides.

    A moment that its zone has twice is not equal to the same moment in any other zone.
    """
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo is not None else value
    if isinstance(value, Mapping):
        return type(value), [(comparable(key), comparable(item)) for key, item in value.items()]
    if isinstance(value, list | tuple | deque):
        return type(value), [comparable(item) for item in value]
    if isinstance(value, set | frozenset):
        return type(value), {comparable(item) for item in value}
    if (
        dataclasses.is_dataclass(value)
        or attrs.has(type(value))
        or isinstance(value, msgspec.Struct)
    ):
        return type(value), comparable(value.a), comparable(value.b)
    return type(value), value
