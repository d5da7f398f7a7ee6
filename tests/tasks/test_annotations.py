"""What JSON can carry, judged by an annotation."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import ipaddress
import typing
from collections import abc
from dataclasses import KW_ONLY, InitVar, dataclass, field
from fractions import Fraction
from pathlib import Path, PosixPath, PurePath
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    TypedDict,
    TypeVar,
)
from uuid import UUID

import attrs
import msgspec
import pytest
from pydantic import BaseModel, ConfigDict

from toril.tasks.annotations import UncarriedError, is_plain, judge_type, named

T = TypeVar("T")
UserId = NewType("UserId", int)


class Colour(enum.Enum):
    RED = "red"


class Mixed(enum.Enum):
    ONE = 1
    TWO = "two"


class Text(str): ...


@dataclass
class Node:
    children: list[Node]
    kind: ClassVar[complex] = 1j
    _: KW_ONLY
    name: str = ""


@dataclass
class Box(Generic[T]):
    content: T


class Row(msgspec.Struct):
    a: Path | msgspec.UnsetType = msgspec.UNSET


@attrs.define
class Place:
    a: int


@attrs.define
class Untold:
    a = attrs.field()  # type: ignore[var-annotated]


class Options(TypedDict, total=False):
    a: typing.Required[int]
    b: typing.NotRequired[Box[int]]


class Pair(NamedTuple):
    a: int
    b: Fraction


class Order(BaseModel):
    a: int


@dataclass
class Deep:
    pair: PairOfNonsense | None


class PairOfNonsense(NamedTuple):
    a: int
    b: complex


@dataclass
class Setup:
    a: InitVar[int]


class RawOptions(TypedDict):
    a: msgspec.Raw


class Arbitrary(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    a: Node
    b: abc.Callable[[], int]


@dataclass
class Unreadable:
    a: Missing  # type: ignore[name-defined]  # noqa: F821


CARRIED: list[Any] = [
    str, int, float, bool, None, bytes, bytearray, dt.datetime, dt.date, dt.time, dt.timedelta,
    UUID, decimal.Decimal, Any, object, list, dict, tuple, set, frozenset, list[int],
    dict[str, int], dict[int | str, int], dict[Colour, int], dict[UUID, Any],
    dict[Literal[1, 2], int], dict[UserId, str], dict[Annotated[int, msgspec.Meta(ge=1)], str],
    tuple[int, ...], tuple[()], Literal["a"], UserId, Colour, Annotated[Path, "x"], Path, PurePath,
    PosixPath, Path | None, Fraction, ipaddress.IPv4Address, ipaddress.IPv6Network,
    ipaddress.IPv4Interface, collections.deque, collections.deque[Path],
    collections.OrderedDict[int, Fraction], abc.Iterable[int], abc.Sequence[Path],
    abc.Mapping[int, Path], abc.Set[int], abc.Collection[int], typing.Iterable[int],
    Node, Box[int], Box, list[Box[Path]], Row, Place, Options, Pair,
    Order, list[Order], dict[str, Order], Order | None, msgspec.Raw,
]  # fmt: skip


@pytest.mark.parametrize("kind", CARRIED, ids=str)
def test_these_are_carried(kind: Any) -> None:
    judge_type(kind)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (complex, "JSON cannot carry complex"),
        (range, "JSON cannot carry range"),
        (type, "JSON cannot carry type"),
        (Text, "JSON cannot carry Text"),
        (abc.Iterator[int], "JSON cannot carry"),
        (abc.Generator[int, None, None], "JSON cannot carry"),
        (abc.Callable[[], int], "JSON cannot carry"),
        (abc.Hashable, "JSON cannot carry Hashable"),
        (collections.defaultdict[str, int], "JSON cannot carry"),
        (collections.Counter[str], "JSON cannot carry"),
        (list[complex | None], "JSON cannot carry complex"),
        (dict[str, list[complex]], "JSON cannot carry complex"),
        (tuple[int, complex], "JSON cannot carry complex"),
        (collections.deque[complex], "JSON cannot carry complex"),
        (abc.Iterable[Text], "JSON cannot carry Text"),
        (collections.OrderedDict[str, complex], "JSON cannot carry complex"),
        (Annotated[complex, "x"], "JSON cannot carry complex"),
        (Deep, r"complex, which is PairOfNonsense\.b, which is Deep\.pair"),
        (Box[complex], "JSON cannot carry complex"),
        (Mixed, "either all str or all int"),
        (Setup, "InitVar"),
        (Untold, r"Untold\.a has no annotation"),
        (Unreadable, "annotations of Unreadable cannot be read: name 'Missing'"),
        (RawOptions, "msgspec reads no Raw in a TypedDict"),
        (Arbitrary, "JSON cannot carry Arbitrary: Cannot generate a JsonSchema for .*Callable"),
        (list[Arbitrary], "JSON cannot carry Arbitrary"),
        (Path | str, "unions"),
        (collections.deque[Path | str], "unions"),
        (collections.OrderedDict[str, Path | int], "unions"),
        (dict[Path, int], "JSON cannot carry Path as a key"),
        (dict[bool, int], "JSON cannot carry bool as a key"),
        (dict[int | bool, int], "JSON cannot carry bool as a key"),
        (dict[str | None, int], "JSON cannot carry NoneType as a key"),
        (dict[tuple[int, int], int], "as a key of a dict: a key is text, a number, an enum"),
        (abc.Mapping[Node, int], "JSON cannot carry Node as a key"),
        (collections.OrderedDict[bool, int], "JSON cannot carry bool as a key"),
        (typing.LiteralString, "JSON cannot carry"),
    ],
    ids=str,
)
def test_these_are_not_and_say_why(kind: Any, words: str) -> None:
    """They were taken where a task was defined, and refused at each use."""
    with pytest.raises(UncarriedError, match=words):
        judge_type(kind)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Any, True),
        (object, True),
        (list, True),
        (dict[str, Any], True),
        (Box, True),
        (collections.deque, True),
        (abc.Iterable, True),
        (tuple[int, object], True),
        (int, False),
        (list[dict[str, int]], False),
        (Box[int], True),  # its own annotation is a variable
        (Node, False),
        (collections.deque[Path], False),
        (Literal["a"] | None, False),
    ],
    ids=str,
)
def test_it_is_known_where_any_json_would_do(kind: Any, expected: bool) -> None:
    assert judge_type(kind).holds_any is expected


@dataclass
class Partly:
    a: int
    b: int = field(compare=False)


class Cursory(BaseModel):
    a: int

    def __eq__(self, other: object) -> bool:
        return True


class CursoryStruct(msgspec.Struct):
    a: int

    def __eq__(self, other: object) -> bool:
        return True


@attrs.define
class PartlyPlace:
    a: int = attrs.field(eq=False)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        *(
            (kind, True)
            for kind in (int, Any, Node, Row, Place, Options, Pair, Order, Path, Box[int])
        ),
        *((kind, True) for kind in (Fraction, ipaddress.IPv4Address, Colour, list[Order])),
        *((kind, False) for kind in (Partly, Cursory, CursoryStruct, PartlyPlace)),
        *((kind, False) for kind in (list[Partly], dict[str, Cursory | None], Box[PartlyPlace])),
    ],
    ids=str,
)
def test_it_is_known_whose_equality_looks_at_all(kind: Any, expected: bool) -> None:
    assert judge_type(kind).is_trusted is expected


@pytest.mark.parametrize("kind", [str, int | None, list[dict[str, float]], dict[str, list[bool]]])
def test_jsons_own_types_are_plain(kind: Any) -> None:
    assert is_plain(kind)


@pytest.mark.parametrize("kind", [bytes, Any, list, dict[int, str], tuple[int], Colour, list[Path]])
def test_others_are_not(kind: Any) -> None:
    assert not is_plain(kind)


def test_types_are_called_as_they_are_written() -> None:
    assert [named(kind) for kind in (int, list[int], int | None)] == [
        "int",
        "list[int]",
        "int | None",
    ]
