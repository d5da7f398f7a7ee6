"""What each parameter of a function gets; what can get nothing is refused where it is defined."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any, Optional

import pytest

from toril.core.errors import InvalidOptionError
from toril.engine.context import Context
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided
from toril.tasks.parameters import WholePayload, read_parameters


def first(ctx: Context, a: int) -> None: ...
def only(anything: Context) -> None: ...
def annotated(ctx: Annotated[Context, "how it goes"], a: int) -> None: ...
def optional_first(ctx: Context | None, a: int) -> None: ...
def optional(a: int, ctx: Context | None = None) -> None: ...
def optional_named(a: int, *, ctx: Optional[Context] = None) -> None: ...  # noqa: UP045
def annotated_optional(a: int, ctx: Annotated[Context | None, "x"] = None) -> None: ...
def optional_annotated(a: int, ctx: Annotated[Context, "x"] | None = None) -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        first,
        annotated,
        optional_first,
        optional,
        optional_named,
        annotated_optional,
        optional_annotated,
    ],
)
def test_a_parameter_takes_the_context_however_it_is_annotated(
    function: Callable[..., Any],
) -> None:
    """An optional one was always None, an annotated one a field that no payload has."""
    found = read_parameters("send", function)

    assert found.context == "ctx"
    assert [one.name for one in found.fields] == ["a"]


class Mailer:
    def send(self, to) -> None: ...  # type: ignore[no-untyped-def]

    @classmethod
    def made(cls, to: str) -> None: ...

    @staticmethod
    def plain(to: str) -> None: ...

    def __call__(self, to: str) -> None: ...


def context_second(a: int, ctx: Context) -> None: ...
def optional_second(a: int, ctx: Context | None) -> None: ...
def of_several(ctx: Context | int) -> None: ...
def two(ctx: Context, a: int, other: Context | None = None) -> None: ...
def bare(context): ...  # type: ignore[no-untyped-def]
def bare_second(to: str, ctx=None): ...  # type: ignore[no-untyped-def]
def inside(contexts: list[Context]) -> None: ...
def star(*numbers: int) -> None: ...
def stars(**numbers: int) -> None: ...
def stars_of_context(*contexts: Context) -> None: ...
def positional(a: int, /) -> None: ...
def whole_and_more(whole: WholePayload[Any], a: int) -> None: ...
def two_wholes(a: WholePayload[Any], b: WholePayload[Any]) -> None: ...
def unreadable(a: "1 +") -> None: ...  # type: ignore[valid-type]  # noqa: F722


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (context_second, "parameter 'ctx': .*the Context as first parameter"),
        (optional_second, "parameter 'ctx': .*a default of None"),
        (of_several, "parameter 'ctx': expected `Context` or `Context | None`"),
        (two, "parameter 'other': .*one parameter of Context"),
        (bare, "parameter 'context': expected an annotation, as in 'context: Context'"),
        (bare_second, "parameter 'ctx': expected an annotation"),
        (inside, "parameter 'contexts': .*JSON cannot carry Context"),
        (Mailer.send, "parameter 'self': .*this is a method"),
        (Mailer.made.__func__, "parameter 'cls': .*this is a method"),  # type: ignore[attr-defined]
        (Mailer, "expected a function, not the class Mailer"),
        (Mailer(), "expected a function, not an object of the class Mailer"),
        (star, r"\*numbers.*named parameters only"),
        (stars, r"\*\*numbers.*named parameters only"),
        (stars_of_context, r"contexts.*the Context as first parameter"),
        (positional, "named parameters only"),
        (whole_and_more, "parameter 'a': 'whole' takes the whole payload"),
        (two_wholes, "b.*one parameter of WholePayload"),
        (unreadable, "its annotations cannot be read: SyntaxError"),
    ],
)
def test_what_could_never_run_is_refused_where_it_is_defined(
    function: Callable[..., Any], words: str
) -> None:
    """It was accepted, and failed at each `enqueue` or in each job."""
    with pytest.raises(InvalidOptionError, match=words.replace("|", r"\|")) as caught:
        TaskBundle().task(name="send")(function)
    assert str(caught.value).startswith("task 'send'")


@pytest.mark.parametrize(
    "function",
    [Mailer.plain, Mailer().send, Mailer.made, functools.partial(Mailer.plain, to="Jo")],
)
def test_what_a_worker_can_call_is_a_task(function: Callable[..., Any]) -> None:
    task = TaskBundle().task(name="send")(function)

    assert task.signature.read('{"to": "Jo"}') == {"to": "Jo"}


def test_parameters_of_the_payload_and_of_the_app_are_told_apart() -> None:
    def send(
        ctx: Context, a: int, b: str = "x", *, mailer: Mailer = provided(Mailer)
    ) -> dict[int, str]:
        return {}

    found = read_parameters("send", send)

    assert (found.context, found.provided, found.whole) == ("ctx", {"mailer": Mailer}, None)
    assert [(one.name, one.annotation) for one in found.fields] == [("a", int), ("b", str)]
    assert found.returns == dict[int, str]
