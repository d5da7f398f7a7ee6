"""Exceptions on their way from a child to its worker: the same there and back, and no code run."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toril import Fail, Retry, RetryPolicy, Snooze
from toril.core.errors import InvalidPayloadError, JobNotFoundError, StoreUnreachableError
from toril.engine.judging import describe, judge
from toril.engine.runners import plain
from toril.engine.runners.errors import ErrorImage, TaskRaisedError, error_from, image_of


class ApiError(Exception):
    """As many libraries have them: it hands its base less than it takes."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class DeclinedError(ApiError, ValueError): ...


class DiskError(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(28, "No space left", path)
        self.path = path


class Declined(Fail):
    def __init__(self, code: int) -> None:
        super().__init__(f"declined with {code}")
        self.code = code


class Level(IntEnum):
    HIGH = 3


def travelled(error: BaseException) -> Exception:
    """Return an error as it arrives."""
    message = msgspec.msgpack.encode(image_of(error))
    return error_from(msgspec.msgpack.decode(message, type=ErrorImage))


def unicode_error() -> BaseException:
    try:
        b"\xff".decode()
    except UnicodeDecodeError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    "make",
    [
        lambda: ValueError("no"),
        lambda: KeyError("missing"),
        lambda: ApiError("busy", 503),
        lambda: DeclinedError("declined", 402),
        lambda: DiskError("/data"),
        lambda: OSError(2, "No such file", "/a"),
        lambda: OSError(18, "Cross-device", "/a", None, "/b"),
        lambda: OSError("only words"),
        lambda: ConnectionResetError(104, "reset"),
        unicode_error,
        lambda: subprocess.CalledProcessError(3, ["convert", "a.jpg"], b"out"),
        lambda: InvalidPayloadError("send", "to", "missing"),
        lambda: JobNotFoundError("gone", job_id="7", queue="mail"),
        lambda: StoreUnreachableError("away", sent=True),
        lambda: Retry("later", after_s=2.5),
        lambda: Snooze(until=datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=2)))),
        lambda: Declined(5),
    ],
)
def test_an_error_arrives_as_it_was(make: Callable[[], BaseException]) -> None:
    """One whose constructor wants more than it hands on arrived as another error."""
    sent = make()

    found = travelled(sent)

    assert type(found) is type(sent)
    assert str(found) == str(sent)
    assert found.args == sent.args
    assert vars(found) == vars(sent)
    if isinstance(sent, OSError):
        assert isinstance(found, OSError)
        for field in ("errno", "strerror", "filename", "filename2"):
            assert getattr(found, field) == getattr(sent, field)


TEXTS = st.text(st.characters(exclude_characters="\x00", codec="utf-8"))
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | TEXTS
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(TEXTS, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(PLAIN)
def test_plain_values_keep_their_types(value: object) -> None:
    found = plain.from_bytes(plain.to_bytes(value))

    assert type(found) is type(value)
    assert found == value


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (2**70, 2**70),
        (-(2**63), -(2**63)),
        (Level.HIGH, 3),
        ({1, 2}, {1, 2}),
        (frozenset({"a"}), frozenset({"a"})),
        (PurePosixPath("/a/b"), "/a/b"),
        (datetime(2030, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
         datetime(2030, 1, 1, 0, tzinfo=UTC)),
        (date(2030, 1, 1), date(2030, 1, 1)),
        (time(12, 30), time(12, 30)),
        (timedelta(days=-1, microseconds=3), timedelta(days=-1, microseconds=3)),
        (Decimal("1.10"), Decimal("1.10")),
        (UUID(int=5), UUID(int=5)),
        ("\ud800", "?"),
    ],
)  # fmt: skip
def test_values_arrive_as_plain_ones(value: object, arrives: object) -> None:
    found = plain.from_bytes(plain.to_bytes(value))

    assert (found, type(found)) == (arrives, type(arrives))


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(plain.MAX_LEVELS):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [object(), deep(), [0] * (plain.MAX_ITEMS + 1), time(1, tzinfo=UTC)]
)
def test_what_is_not_plain_is_told_by_its_text(value: object) -> None:
    error = ApiError("busy", 503)
    error.args = ("busy", value)
    error.lock = value  # type: ignore[attr-defined]

    found = travelled(error)

    assert type(found) is ApiError
    assert found.args == ("busy", str(value))
    assert vars(found) == {"status": 503}


def test_a_huge_error_travels_by_its_text() -> None:
    found = travelled(ValueError(*["x" * 10_000] * 50))

    assert type(found) is ValueError
    assert len(found.args) == 1
    assert str(found).endswith("characters]")


def test_a_huge_text_is_cut_once_and_its_note_is_true() -> None:
    found = travelled(ValueError("x" * 1_000_000))

    assert "of 1,000,000 characters]" in describe(found)
    assert describe(found).count("[cut:") == 1


def unknown_here(base: type[BaseException], name: str = "StrangeError") -> type[BaseException]:
    """Return a class of a library that only the child has imported."""
    kind: type[BaseException] = type(name, (base,), {"__module__": "only_there"})
    return kind


def local_error() -> type[Exception]:
    class LocalError(ApiError): ...

    return LocalError


@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        (RetryPolicy(give_up_on=(ApiError,)), "failed"),
        (RetryPolicy(give_up_on=(ValueError,)), "retried"),
        (RetryPolicy(retry_on=(ApiError,)), "retried"),
        (RetryPolicy(retry_on=(Exception,)), "retried"),
        (RetryPolicy(retry_on=(KeyError,)), "failed"),
    ],
)
def test_rules_about_classes_hold_for_errors_of_classes_that_only_the_child_knows(
    policy: RetryPolicy, kind: str
) -> None:
    for there in (unknown_here(ApiError), local_error()):
        found = travelled(there("busy", 503))

        assert isinstance(found, TaskRaisedError)
        assert judge(found, policy, attempts_made=1, draw=0).kind == kind


def test_an_outcome_of_a_class_that_only_the_child_knows_is_that_outcome() -> None:
    kind = unknown_here(Declined, "Unknown")

    found = travelled(kind(7))

    assert type(found) is Declined
    assert (found.reason, found.code) == ("declined with 7", 7)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, StopIteration, GeneratorExit])
def test_what_would_end_the_worker_is_never_made(kind: type[BaseException]) -> None:
    found = travelled(kind("3"))

    assert isinstance(found, TaskRaisedError)
    assert found.kind == f"builtins.{kind.__name__}"
    assert judge(found, RetryPolicy(give_up_on=(kind,)), attempts_made=1, draw=0).kind == "failed"


class EvilError(Exception):
    """Runs code when it is unpickled, or made by its constructor."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        RAN.append("constructor")

    def __reduce__(self) -> tuple[Any, ...]:
        return RAN.append, ("pickle",)

    def __setstate__(self, state: object) -> None:
        RAN.append("state")


RAN: list[str] = []


def test_reading_an_error_runs_no_code_of_the_childs_choice() -> None:
    """A child runs what strangers upload. Its errors were unpickled in the worker."""
    error = EvilError("x")
    RAN.clear()

    assert type(travelled(error)) is EvilError
    assert RAN == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93\x90\x80\xc0",
        pickle.dumps(os.system),
        msgspec.msgpack.encode([["tuple", [["eval", "1"]]], ["dict", []], None]),
        msgspec.msgpack.encode([["tuple", []], ["dict", [[["list", []], 1]]], None]),
        msgspec.msgpack.encode([["tuple", [["int", "9" * 5000]]], ["dict", []], None]),
        msgspec.msgpack.encode([3, 4, 5]),
        b"\x91" * 100_000,
    ],
)
def test_whatever_a_child_sends_is_an_error_and_nothing_else(data: bytes) -> None:
    for name in ("builtins:ValueError", "builtins:eval", "os:system", "", "a:b:c", "os.path"):
        found = error_from(ErrorImage([name, "builtins:Exception"], data, "words"))

        assert type(found) in (TaskRaisedError, ValueError)
    assert isinstance(error_from(ErrorImage([], data, "words")), TaskRaisedError)


def test_nothing_is_imported_for_an_error() -> None:
    """Neither a module, nor what a module makes when it is asked for a name."""
    asked: list[str] = []
    lazy = types.ModuleType("lazy_library")
    lazy.__getattr__ = asked.append  # type: ignore[method-assign]
    sys.modules["lazy_library"] = lazy
    try:
        for name in ("antigravity:Error", "lazy_library:Error", "lazy_library:Error.Inner"):
            assert isinstance(error_from(ErrorImage([name], b"", "words")), TaskRaisedError)
    finally:
        del sys.modules["lazy_library"]

    assert asked == []
    assert "antigravity" not in sys.modules


def test_an_error_that_cannot_be_looked_at_travels_all_the_same() -> None:
    class Odd(str):
        def __str__(self) -> str:
            raise RuntimeError

    error = ApiError("busy", 503)
    error.args = (Odd("x"), threading.Lock())
    error.odd = Odd("y")  # type: ignore[attr-defined]

    assert isinstance(travelled(error), ApiError)
