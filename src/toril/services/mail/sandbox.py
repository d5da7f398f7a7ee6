"""Where templates of mails are rendered: no way to Python, and an end to every loop.

Jinja2's sandbox keeps a template from Python's insides and from changing what it is given. It does
not keep nested loops from running for hours, so every turn of a loop and every call is counted.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

from toril.core.extras import missing_extra
from toril.services.unusable import UnusableInputError

MAX_STEPS = 200_000
"""Turns of loops and calls, of one mail."""
MAX_CHARS = 2 * 1024 * 1024
"""Of what one mail is rendered to."""
MAX_REPEATED = 100_000
_LINKS = ("http", "https", "mailto", "tel")
_steps: ContextVar[list[int]] = ContextVar("steps")


def make_sandbox(loader: Any) -> Any:
    """Return an environment of Jinja2's for mails.

    Parameters:
        loader: Where templates come from.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    jinja2, sandbox = import_jinja()
    nodes = importlib.import_module("jinja2.nodes")

    base: Any = sandbox.ImmutableSandboxedEnvironment

    class Sandbox(base):  # type: ignore[misc]  # what it is, is known at run time only
        intercepted_binops = frozenset({"*", "**"})

        def call(self, *arguments: Any, **named: Any) -> Any:
            _count()
            return super().call(*arguments, **named)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            _check_size(operator, left, right)
            return super().call_binop(context, operator, left, right)

        def _parse(self, source: str, name: str | None, filename: str | None) -> Any:
            tree = super()._parse(source, name, filename)
            for loop in list(tree.find_all(nodes.For)):
                counted = nodes.Filter(loop.iter, "counted", [], [], None, None)
                loop.iter = counted.set_lineno(loop.lineno)
            return tree

    made = Sandbox(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["counted"] = _counted
    made.filters["link"] = _link
    return made


def render_whole(parts: Iterable[str], *, subject: str) -> str:
    """Put the pieces of a template together, within the limits.

    Parameters:
        parts: What it is rendered to, piece by piece.
        subject: What the error calls the template.

    Raises:
        UnusableInputError: It is too long, or takes too many steps.
    """
    token = _steps.set([MAX_STEPS])
    try:
        found, size = [], 0
        for part in parts:
            size += len(part)
            if size > MAX_CHARS:
                raise UnusableInputError(
                    subject, f"it becomes longer than {MAX_CHARS:,} characters"
                )
            found.append(part)
        return "".join(found)
    except _TooManyStepsError:
        raise UnusableInputError(subject, f"its loops take more than {MAX_STEPS:,} steps") from None
    finally:
        _steps.reset(token)


def import_jinja() -> tuple[Any, Any]:
    """Return Jinja2, and its sandbox.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return importlib.import_module("jinja2"), importlib.import_module("jinja2.sandbox")
    except ImportError:
        raise missing_extra("templates of mails need Jinja2", "mail") from None


class _TooManyStepsError(Exception):
    pass


def _count() -> None:
    left = _steps.get(None)
    if left is None:  # while a template is compiled, constants are worked out
        return
    left[0] -= 1
    if left[0] < 0:
        raise _TooManyStepsError


def _counted(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        _count()
        yield item


def _check_size(operator: str, left: Any, right: Any) -> None:
    """Refuse products that would fill the memory."""
    if operator == "**":
        if any(isinstance(each, int) and abs(each) > 1000 for each in (left, right)):
            raise _TooManyStepsError
        return
    for thing, times in ((left, right), (right, left)):
        if isinstance(thing, str | list | tuple) and isinstance(times, int):
            if len(thing) * times > MAX_REPEATED:
                raise _TooManyStepsError


def _link(value: object) -> object:
    """Return an address that a reader may click on; refuse what would run in a browser.

    Raises:
        UnusableInputError: It is of another kind.
    """
    jinja2, _ = import_jinja()
    if isinstance(value, jinja2.Undefined):
        str(value)  # raises, with the variable's name
    text = str(value).strip()
    scheme = urlsplit(text).scheme.lower()
    if scheme not in _LINKS or any(char.isspace() or ord(char) < 32 for char in text):
        expected = "expected one that begins with https://, http://, mailto: or tel:"
        raise UnusableInputError(f"link {text[:100]!r}", expected)
    return text
