"""A function's parameters as the schema of its payload: every kind, at the door and when run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from toril.core.errors import InvalidOptionError, InvalidPayloadError
from toril.engine.context import Context
from toril.tasks.inject import provided
from toril.tasks.parameters import WholePayload, read_parameters
from toril.tasks.signature import MOST_REPORTED, Rename, Signature


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    YES = "yes"


@dataclass
class Address:
    street: str
    zip_code: str | None = None


class Person(msgspec.Struct):
    name: str
    addresses: list[Address] = []


class Options(TypedDict):
    size: int


class Order(BaseModel):
    number: int
    items: list[str] = []


def signature(function: Callable[..., Any], rename: Rename = None) -> Signature:
    return Signature("send", read_parameters("send", function), rename)


def through(function: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the arguments that the function gets, after a way through the store."""
    made = signature(function)
    return made.read(made.bind(args, kwargs))


def everything(
    a: int,
    b: float,
    c: str,
    d: bool,
    e: None,
    f: list[int],
    g: dict[str, int],
    h: tuple[int, str],
    i: set[int],
    j: Colour,
    k: Level,
    l: datetime,  # noqa: E741
    m: date,
    n: timedelta,
    o: UUID,
    p: Decimal,
    q: bytes,
    r: int | None,
    s: int | str,
    t: Literal["x", "y"],
    u: Address,
    v: Person,
    w: Options,
    x: Order,
    y: Any,
    z: Annotated[int, msgspec.Meta(ge=1)],
) -> None: ...


VALUES: dict[str, Any] = {
    "a": 1, "b": 1.5, "c": "ü", "d": True, "e": None, "f": [1], "g": {"x": 1}, "h": (1, "x"),
    "i": {1, 2}, "j": Colour.RED, "k": Level.LOW, "l": datetime(2026, 1, 1, tzinfo=UTC),
    "m": date(2026, 1, 1), "n": timedelta(hours=1), "o": UUID(int=3), "p": Decimal("1.10"),
    "q": b"\x00\xff", "r": None, "s": "x", "t": "y", "u": Address("Main St"),
    "v": Person("Jo", [Address("Main St", "123")]), "w": {"size": 3},
    "x": Order(number=3, items=["a"]), "y": [1, {"x": None}], "z": 7,
}  # fmt: skip


def test_values_of_every_kind_come_back_as_they_were() -> None:
    assert through(everything, **VALUES) == VALUES
    assert through(everything, *VALUES.values()) == VALUES


def test_a_parameter_without_annotation_takes_any_json() -> None:
    def send(what):  # type: ignore[no-untyped-def]
        ...

    assert through(send, what=[1, "x"]) == {"what": [1, "x"]}


def test_positional_and_named_arguments_bind_like_a_call() -> None:
    def send(a: int, b: int = 2, *, c: int = 3) -> None: ...

    assert through(send, 1) == {"a": 1, "b": 2, "c": 3}
    assert through(send, 1, c=5) == {"a": 1, "b": 2, "c": 5}
    assert through(send, b=4, a=1) == {"a": 1, "b": 4, "c": 3}


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((), {}, "task 'send', field 'a': missing"),
        ((1, 2, 3), {}, r"task 'send', field '\(call\)': too many positional arguments"),
        ((1,), {"a": 2}, r"field '\(call\)': multiple values for argument 'a'"),
        ((), {"a": 1, "colr": 2}, "field 'colr': unknown; did you mean 'colour'?"),
        ((), {"a": 1, "zzz": 2}, "field 'zzz': unknown; known are a, colour"),
        ((), {"a": "one"}, "field 'a': Expected `int`, got `str`; the value is 'one'"),
        ((), {"a": None}, "field 'a': Expected `int`, got `null`; the value is None"),
        ((), {"a": 1.5}, "field 'a': Expected `int`, got `float`; the value is 1.5"),
        ((), {"a": 1, "colour": "x" * 100}, r"the value is 'x+\.\.\.$"),
        ((), {"a": object()}, "field 'a': object is not a type that JSON can carry"),
        ((), {"a": float("nan")}, "field 'a': nan is not a JSON number"),
        ((), {"a": 1, "colour": "\ud800"}, "field 'colour': .*surrogates not allowed"),
    ],
)
def test_a_call_that_does_not_fit_is_refused_with_field_and_value(
    args: tuple[Any, ...], kwargs: dict[str, Any], words: str
) -> None:
    def send(a: int, colour: Colour = Colour.RED) -> None: ...

    with pytest.raises(InvalidPayloadError, match=words.replace("?", r"\?")):
        signature(send).bind(args, kwargs)


def test_what_is_wrong_inside_a_value_is_named_by_its_path() -> None:
    def send(person: Person, order: Order) -> None: ...

    wrong: dict[str, Any] = {"name": "Jo", "addresses": [{"street": 3}]}
    with pytest.raises(InvalidPayloadError, match=r"'person.addresses\[0\].street'.*got `int`"):
        signature(send).check({"person": wrong, "order": {"number": 1}})
    with pytest.raises(InvalidPayloadError, match=r"field 'order': .*valid integer.*`number`"):
        signature(send).check({"person": {"name": "Jo"}, "order": {"number": "x"}})


def test_a_stored_payload_that_does_not_fit_is_refused_in_the_same_words() -> None:
    def send(a: int) -> None: ...

    made = signature(send)
    words = []
    for ask in (lambda: made.check({"a": "x"}), lambda: made.read('{"a": "x"}')):
        with pytest.raises(InvalidPayloadError) as caught:
            ask()
        words.append(str(caught.value))
    assert words[0] == words[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", r"field '\(payload\)': not JSON"),
        ("[]", r"field '\(payload\)': Expected `object`, got `array`"),
        ("null", "field 'a': missing"),
        ("{}", "field 'a': missing"),
    ],
)
def test_a_stored_text_that_is_no_payload_is_refused(text: str, words: str) -> None:
    def send(a: int) -> None: ...

    with pytest.raises(InvalidPayloadError, match=words):
        signature(send).read(text)


def test_unknown_fields_of_a_stored_payload_are_ignored() -> None:
    def send(a: int) -> None: ...

    assert signature(send).read('{"a": 1, "sentBy": "node", "b": [1]}') == {"a": 1}


def test_each_unknown_field_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def send(colour: str) -> None: ...

    one, other = signature(send), signature(send)
    for _ in range(3):
        assert one.read('{"color": 1, "colour": "red", "zz": 2}') == {"colour": "red"}
    one.read('{"colour": "red", "later": 2}')
    other.read('{"colour": "red", "later": 2}')

    told = [record.getMessage() for record in caplog.records]
    assert told[0] == (
        "task 'send': payloads have a field 'color' that this version of the task does not know"
        " (the nearest is 'colour'); it is ignored, and not reported again"
    )
    fields = [text.partition(" a field ")[2].partition(" that ")[0] for text in told]
    assert fields == ["'color'", "'zz'", "'later'", "'later'"]


def test_unknown_fields_without_end_are_told_up_to_a_bound(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def send(a: int = 1) -> None: ...

    made = signature(send)
    for number in range(MOST_REPORTED + 50):
        made.read(f'{{"{"x" * 200}{number}": 1}}')

    assert len(caplog.records) == MOST_REPORTED
    assert max(len(record.getMessage()) for record in caplog.records) < 300


@pytest.mark.parametrize("text", ['{"a": 1}', "{}", "null", "[]", "7", ""])
def test_task_without_parameters_tells_of_fields_too(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    def send() -> None: ...

    assert signature(send).read(text) == {}
    assert len(caplog.records) == (text == '{"a": 1}')


def test_whole_payload_has_no_unknown_fields(caplog: pytest.LogCaptureFixture) -> None:
    def send(payload: WholePayload[dict[str, int]]) -> None: ...

    assert signature(send).read('{"b": 1}') == {"payload": {"b": 1}}
    assert caplog.records == []


def test_unknown_field_beside_one_that_does_not_fit_is_refused_by_the_latter() -> None:
    def send(a: int) -> None: ...

    with pytest.raises(InvalidPayloadError, match="field 'a'"):
        signature(send).read('{"zz": 1, "a": "x"}')


def test_unknown_fields_of_a_text_at_the_door_are_not() -> None:
    def send(colour: str) -> None: ...

    signature(send).check_text('{"colour": "red"}')
    with pytest.raises(InvalidPayloadError, match="did you mean 'colour'"):
        signature(send).check_text('{"colour": "red", "color": "red"}')


def test_a_default_that_can_change_is_made_anew_for_each_run() -> None:
    def send(
        a: list[list[int]] = [[1]],  # noqa: B006
        b: dict[str, int] = {},  # noqa: B006
        c: Address = Address("x"),  # noqa: B008
    ) -> None: ...

    made = signature(send)
    first = made.read("{}")
    first["a"][0].append(2)
    first["b"]["x"] = 1

    assert made.read("{}") == {"a": [[1]], "b": {}, "c": Address("x")}


def test_parameters_are_camel_case_on_the_wire_where_the_task_says_so() -> None:
    def send(user_id: int, file_name_2: str = "x") -> None: ...

    made = signature(send, "camel")
    text = made.bind((3,), {"file_name_2": "y"})

    assert text == '{"userId":3,"fileName2":"y"}'
    assert made.read(text) == {"user_id": 3, "file_name_2": "y"}
    with pytest.raises(InvalidPayloadError, match="field 'userId': missing"):
        made.check({})


def test_the_context_is_no_part_of_the_payload() -> None:
    def send(ctx: Context, a: int) -> None: ...

    assert read_parameters("send", send).context == "ctx"
    assert signature(send).bind((1,), {}) == '{"a":1}'


def test_what_the_app_provides_is_no_part_of_the_payload() -> None:
    def send(a: int, *, address: Address = provided(Address)) -> None: ...

    made = signature(send)
    assert read_parameters("send", send).provided == {"address": Address}
    with pytest.raises(InvalidPayloadError, match="field 'address': unknown"):
        made.check({"a": 1, "address": {"street": "x"}})


@dataclass
class Zoned(Address):
    zone: int = 0


@attrs.define
class Place:
    height: float
    near: dict[float, str] = attrs.field(factory=dict)


class Tagged(msgspec.Struct, tag_field="kind", tag="tagged"):
    a: int


class Row(msgspec.Struct, array_like=True):
    a: int
    b: int = 0


class Config(TypedDict, total=False):
    size: int


class Named(BaseModel):
    first_name: str = Field(default="nobody", alias="firstName")
    order: Order | None = None
    written: str = Field(default="", serialization_alias="writtenAs")


def everywhere(
    address: Address | None = None,
    person: Person | None = None,
    config: Config = {},  # noqa: B006
    order: Order | None = None,
    named: Named | None = None,
    row: Row | None = None,
    addresses: list[Address] = [],  # noqa: B006
    by_number: dict[int, Config] = {},  # noqa: B006
    raw: bytes = b"",
    text: str = "",
    numbers: set[int] = set(),  # noqa: B006
    place: Place | None = None,
    any_json: Any = None,
    price: Decimal = Decimal(1),
    tagged: Tagged | None = None,
    colour: Colour = Colour.RED,
    at: datetime | None = None,
    pair: tuple[int, str] = (0, ""),
) -> None: ...


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("address", {"street": "x", "zipcode": "1"}, "'address.zipcode': unknown; .*'zip_code'"),
        (
            "address",
            Zoned("x", "1", 3),
            r"'address': Zoned\(.* would arrive as a Address, not as a",
        ),
        ("addresses", [{"street": "x"}, {"street": "x", "a": 1}], r"'addresses\[1\].a': unknown"),
        ("addresses", [Address("x"), Zoned("x")], r"'addresses\[1\]': Zoned"),
        ("person", Person("Jo", [Zoned("x")]), r"'person.addresses\[0\]': Zoned"),
        ("person", {"name": "Jo", "age": 3}, "'person.age': unknown"),
        ("config", {"size": 1, "sise": 2}, "'config.sise': unknown; did you mean 'size'?"),
        ("by_number", {3: {"sise": 2}}, "'by_number.3.sise': unknown"),
        ("order", {"number": 3, "itens": []}, "'order.itens': unknown; did you mean 'items'?"),
        ("named", {"order": {"number": 1, "x": 2}}, "'named.order.x': unknown"),
        ("named", {"lastName": "Jo"}, "'named.lastName': unknown"),
        ("named", {"writtenAs": "Jo"}, "'named.writtenAs': unknown"),
        ("row", [1, 2, 3], r"'row': \[1, 2, 3\] would arrive as"),
        ("raw", "test", r"'raw': 'test' would arrive as b'.*; give bytes"),
        ("text", b"abc", "'text': b'abc' would arrive as 'YWJj'"),
        ("text", date(2024, 1, 1), "'text': datetime.date.* would arrive as '2024-01-01'"),
        ("text", UUID(int=1), "'text': UUID.* would arrive as '0000"),
        ("text", Colour.RED, "'text': <Colour.RED: 'red'> would arrive as 'red'"),
        ("numbers", [1, 1], "'numbers': it holds a value twice, which a set cannot"),
        ("place", Place(math.nan), "'place.height': nan is not a JSON number"),
        ("place", Place(1.0, {math.nan: "x"}), "'place.near.nan': nan is not a JSON number"),
        ("by_number", {math.nan: {}}, "'by_number.nan': nan is not a JSON number"),
        ("any_json", [{"a": {math.nan: 1}}], r"'any_json\[0\].a.nan': nan is not a JSON number"),
        ("any_json", {"a": [Decimal("nan")]}, r"'any_json.a\[0\]': Decimal\('NaN'\) would"),
        ("any_json", {1: "a"}, "'any_json.1': as a key, 1 would arrive as '1'"),
        ("any_json", {1: "a", "1": "b"}, "'any_json.1': unknown"),
        ("any_json", Address("x"), "'any_json': Address.* would arrive as {'street'"),
        ("any_json", {"when": date(2024, 1, 1)}, "'any_json.when': datetime.date"),
        ("any_json", [{"x": {None: 1}}], r"'any_json\[0\].x': NoneType is not a type that JSON"),
        ("any_json", [{"x": [object()]}], r"'any_json\[0\].x\[0\]': object is not a type"),
        ("price", 1.1, r"'price': 1.1 would arrive as Decimal\('1.1'\)"),
        ("person", Person("Jo", [Address("x", "\ud800")]), r"'person.addresses\[0\].zip_code'"),
    ],
)
def test_what_would_not_arrive_is_refused_with_its_path(field: str, value: Any, words: str) -> None:
    """It was dropped, or changed into something else, without a word."""
    made = signature(everywhere)
    with pytest.raises(InvalidPayloadError, match=words.replace("?", r"\?")):
        made.bind((), {field: value})


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("address", {"street": "x"}, Address("x")),
        ("person", {"name": "Jo", "addresses": [{"street": "x"}]}, Person("Jo", [Address("x")])),
        ("order", {"number": 3}, Order(number=3)),
        ("named", {"firstName": "Jo"}, Named(firstName="Jo")),
        ("row", [1], Row(1)),
        ("row", (1, 2), Row(1, 2)),
        ("tagged", {"kind": "tagged", "a": 1}, Tagged(1)),
        ("numbers", [1, 2], {1, 2}),
        ("pair", [1, "x"], (1, "x")),
        ("any_json", (1, [2]), [1, [2]]),
        ("by_number", {"3": {"size": 1}}, {3: {"size": 1}}),
        ("at", "2024-01-01T00:00:00Z", datetime(2024, 1, 1, tzinfo=UTC)),
        ("colour", "blue", Colour.BLUE),
        ("price", "1.10", Decimal("1.10")),
        ("price", 3, Decimal(3)),
        ("text", Word.YES, "yes"),
    ],
)
def test_jsons_own_spelling_of_a_value_is_taken_for_it(
    field: str, value: Any, expected: Any
) -> None:
    got = through(everywhere, **{field: value})[field]

    assert (got, type(got)) == (expected, type(expected))


def test_a_text_at_the_door_may_spell_what_python_code_may_not() -> None:
    made = signature(everywhere)

    made.check_text(
        '{"raw":"YWJj","price":1.1,"at":"2024-01-01T00:00:00Z","named":{"firstName":""}}'
    )
    for text, place in (
        ('{"address":{"street":"x","zipcode":"1"}}', "address.zipcode"),
        ('{"named":{"firstname":""}}', "named.firstname"),
        ('{"by_number":{"1":{"sise":1}}}', "by_number.1.sise"),
    ):
        with pytest.raises(InvalidPayloadError) as caught:
            made.check_text(text)
        assert caught.value.field == place


@pytest.mark.parametrize("text", ["null", "[1]", '"x"', "5", '{"a": 1}', "[" * 3000 + "]" * 3000])
def test_a_task_without_parameters_takes_any_payload(text: str) -> None:
    """Arrays, texts, numbers and null could be taken by no task."""

    def send(ctx: Context) -> None: ...

    assert signature(send).read(text) == {}


def test_null_is_no_parameters() -> None:
    def send(a: int = 3) -> None: ...

    assert signature(send).read("null") == {"a": 3}
    assert signature(send).read(" null\n") == {"a": 3}


def test_half_a_character_is_read_as_its_replacement() -> None:
    """It failed the job at once, as if the payload were no JSON."""

    def send(a: str, b: list[str]) -> None: ...

    made = signature(send)
    assert made.read(r'{"a":"x\ud83e","b":["\udd13y"]}') == {"a": "x\ufffd", "b": ["\ufffdy"]}
    with pytest.raises(InvalidPayloadError, match="field 'b': missing"):
        made.read(r'{"a":"x\ud83e"}')
    with pytest.raises(InvalidPayloadError, match="not JSON"):
        made.check_text(r'{"a":"x\ud83e","b":[]}')


def test_a_payload_that_is_nested_too_deep_is_refused_in_words() -> None:
    """It was a RecursionError, at the door as in the worker."""

    def send(a: Any) -> None: ...

    made, deep = signature(send), []  # type: ignore[var-annotated]
    inner = deep
    for _ in range(100_000):
        inner.append([])
        inner = inner[0]
    circular: list[Any] = []
    circular.append(circular)
    for value in (deep, circular):
        with pytest.raises(
            InvalidPayloadError, match=r"field 'a.*': it holds itself, or is nested"
        ):
            made.bind((value,), {})
    for ask in (made.read, made.check_text):
        with pytest.raises(InvalidPayloadError, match=r"'\(payload\)': it is nested too deep"):
            ask('{"a":' + "[" * 100_000 + "]" * 100_000 + "}")


def test_a_whole_payload_is_one_parameters() -> None:
    def send(numbers: WholePayload[list[Address] | None] = None) -> None: ...

    made = signature(send, "camel")
    assert made.bind((), {}) == "null"
    assert made.bind(([Address("x")],), {}) == '[{"street":"x","zip_code":null}]'
    assert made.read('[{"street":"x"}]') == {"numbers": [Address("x")]}
    assert made.read("null") == {"numbers": None}
    with pytest.raises(InvalidPayloadError, match=r"field 'numbers\[0\].street': Expected `str`"):
        made.check({"numbers": [{"street": 1}]})
    with pytest.raises(InvalidPayloadError, match=r"field 'numbers\[0\].x': unknown"):
        made.check({"numbers": [{"street": "x", "x": 1}]})
    with pytest.raises(InvalidPayloadError, match=r"field 'numbers\[0\].x': unknown"):
        made.check_text('[{"street": "x", "x": 1}]')
    with pytest.raises(
        InvalidPayloadError, match="field 'number': unknown; did you mean 'numbers'"
    ):
        made.check({"number": []})


def test_a_whole_payload_may_be_a_model() -> None:
    def send(order: WholePayload[Order]) -> None: ...

    made = signature(send)
    assert made.read(made.bind((Order(number=1),), {})) == {"order": Order(number=1)}
    with pytest.raises(InvalidPayloadError, match=r"field 'order\.number': .*valid integer"):
        made.read('{"number": "x"}')


def test_a_whole_payload_without_a_default_has_to_be_there() -> None:
    def send(numbers: WholePayload[list[int]]) -> None: ...

    def defaulted(numbers: WholePayload[list[int]] = [1]) -> None: ...  # noqa: B006

    with pytest.raises(InvalidPayloadError, match="field 'numbers': missing"):
        signature(send).bind((), {})
    with pytest.raises(InvalidPayloadError, match="field 'numbers': Expected `array`, got `null`"):
        signature(send).read("null")
    made = signature(defaulted)
    assert made.bind((), {}) == "[1]"
    made.read("null")["numbers"].append(2)
    assert made.read("null") == {"numbers": [1]}


def test_raw_json_arrives_as_it_is() -> None:
    """msgspec's own kind of a field, which equals nothing."""

    def send(a: msgspec.Raw, b: list[msgspec.Raw] = []) -> None: ...  # noqa: B006

    made = signature(send)
    text = made.bind((msgspec.Raw(b'{"x": null}'), [msgspec.Raw(b" 1")]), {})

    got = made.read(text)
    assert (bytes(got["a"]), [bytes(one) for one in got["b"]]) == (b'{"x": null}', [b"1"])


@dataclass(eq=False)
class Entity:
    number: int
    weight: float | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entity) and other.number == self.number

    def __hash__(self) -> int:
        return self.number


@dataclass
class Special(Entity):
    colour: str = "red"


@dataclass
class Partly:
    number: int
    weight: float | None = field(default=None, compare=False)


@attrs.define
class PartlyAttrs:
    number: int
    weight: float | None = attrs.field(default=None, eq=False)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (Entity, Special(1), "field 'a': Special.* would arrive as a Entity"),
        (Entity, Entity(1, math.nan), r"field 'a\.weight': nan is not"),
        (list[Entity], [Entity(1), Entity(1, math.nan)], r"field 'a\[1\]\.weight': nan is not"),
        (Partly, Partly(1, math.nan), r"field 'a\.weight': nan is not"),
        (dict[str, PartlyAttrs], {"x": PartlyAttrs(1, math.inf)}, r"'a\.x\.weight': inf is not"),
    ],
)
def test_an_equality_of_its_own_hides_nothing(kind: Any, value: Any, words: str) -> None:
    """What a class leaves out of its `==` was dropped behind it."""

    def send(a: Any) -> None: ...

    send.__annotations__ = {"a": kind}
    with pytest.raises(InvalidPayloadError, match=words):
        signature(send).bind((value,), {})


def test_equality_that_raises_or_hides_is_looked_behind() -> None:
    made = signature(lopsided)
    assert made.bind((Lopsided(1),), {}) == '{"a":{"n":1}}'
    with pytest.raises(InvalidPayloadError, match=r"field 'a.n': .*nan is not a JSON number"):
        made.bind((Lopsided(math.nan),), {})


@dataclass(eq=False)
class Lopsided:
    n: float

    def __eq__(self, other: object) -> bool:
        raise RuntimeError


def lopsided(a: Lopsided) -> None: ...


def context_second(a: int, ctx: Context) -> None: ...
def star(*numbers: int) -> None: ...
def stars(**numbers: int) -> None: ...
def positional(a: int, /) -> None: ...
def several(a: Address | Person) -> None: ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (context_second, "ctx.*the Context as first parameter"),
        (star, r"\*numbers.*named parameters only"),
        (stars, r"\*\*numbers.*named parameters only"),
        (positional, "named parameters only"),
        (several, "parameter .a.: .*cannot be part of a payload: Type unions may not"),
    ],
)
def test_a_function_that_cannot_be_a_payload_is_refused_at_once(
    function: Callable[..., Any], words: str
) -> None:
    with pytest.raises(InvalidOptionError, match=f"task 'send'.*{words}"):
        signature(function)


def test_an_annotation_that_is_not_there_at_run_time_is_explained() -> None:
    def send(a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(InvalidOptionError, match=r"'Missing' is not defined.*import the type"):
        signature(send)


@given(st.integers(), st.text(st.characters(exclude_categories=["Cs"])), st.none() | st.floats())
def test_what_is_bound_is_read_or_refused(a: int, b: str, c: float | None) -> None:
    def send(a: int, b: str, c: float | None = None) -> None: ...

    if c is not None and not math.isfinite(c):
        with pytest.raises(InvalidPayloadError, match="field 'c'"):
            through(send, a, b, c=c)
    else:
        assert through(send, a, b, c=c) == {"a": a, "b": b, "c": c}
