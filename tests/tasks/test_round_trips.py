"""What a task takes or returns arrives equal, or is refused: where it is defined, or at the door.

For all kinds of types and values, that is; single faults stand in the files of their modules.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.tasks.kinds import LEAVES, ODD_LEAVES, Kind, comparable, kinds, models

from toril.core.codec import encode_text
from toril.core.errors import InvalidOptionError, InvalidPayloadError
from toril.tasks.parameters import WholePayload, read_parameters
from toril.tasks.results import ResultType
from toril.tasks.signature import Signature

some = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def taking(kind: Any) -> Signature:
    def take(v: Any) -> None: ...

    take.__annotations__ = {"v": kind}
    return Signature("take", read_parameters("take", take), None)


def returning(kind: Any) -> ResultType:
    return ResultType("give", kind, 10**6, "loop")


@some
@given(st.data(), kinds(LEAVES) | models())
def test_what_json_can_carry_arrives_equal(data: st.DataObject, kind: Kind) -> None:
    value = data.draw(kind.values)
    task, result = taking(kind.type), returning(kind.type)

    assert comparable(task.read(task.bind((value,), {}))["v"]) == comparable(value)
    assert comparable(result.decode(result.encode(value))) == comparable(value)


@some
@given(st.data(), kinds(LEAVES) | models())
def test_what_json_can_carry_arrives_equal_as_a_whole_payload(
    data: st.DataObject, kind: Kind
) -> None:
    value = data.draw(kind.values)
    whole: Any = WholePayload
    task = taking(whole[kind.type])

    text = task.bind((), {"v": value})

    assert comparable(task.read(text)["v"]) == comparable(value)


@some
@given(st.data(), kinds(ODD_LEAVES + LEAVES))
def test_odd_types_and_values_arrive_equal_or_are_refused(data: st.DataObject, kind: Kind) -> None:
    value = data.draw(kind.values)
    try:
        task, result = taking(kind.type), returning(kind.type)
    except InvalidOptionError:
        return
    sent = attempted(lambda: task.read(task.bind((value,), {}))["v"])
    given_back = attempted(lambda: result.decode(result.encode(value)))

    assert sent in ([], [comparable(value)])
    # Where the annotation says `Any`, a result is whatever JSON it becomes.
    if not result._holds_any:
        assert given_back in ([], [comparable(value)])


@some
@given(st.data(), kinds(LEAVES), kinds(LEAVES))
def test_a_value_of_another_type_is_refused_or_is_json_for_it(
    data: st.DataObject, kind: Kind, other: Kind
) -> None:
    value = data.draw(other.values)
    task = taking(kind.type)
    try:
        got = task.read(task.bind((value,), {}))["v"]
    except InvalidPayloadError as error:
        place = error.field
    else:
        # Nothing was lost: what arrived is written as what was given is. A path of its own spelling
        # ("a//b", "") arrives as the path that it names.
        path = isinstance(got, Path) and isinstance(value, str) and got == Path(value)
        assert path or got == value or encode_text(got) == encode_text(value)
        return

    assert place.startswith("v")


def attempted(act: Callable[[], Any]) -> list[Any]:
    try:
        return [comparable(act())]
    except (TypeError, ValueError):
        return []
