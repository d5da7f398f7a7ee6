"""How an exception travels from a child process to its worker, without trust.

A child runs what strangers upload. So nothing is unpickled that could run code: an exception comes
as the names of its classes, and arguments and attributes of plain types. Here it is made anew
without calling its constructor, which may want other arguments than those that it has handed to its
base. No module is imported for it: the heavy library of the child stays there.

Where its own class is not known here, its known base classes are told, so that rules about classes
(`retry_on`, `give_up_on`) mean the same wherever a task runs.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import msgspec

from toril.core.errors import TorilError
from toril.engine.outcomes import Outcome
from toril.engine.runners import plain
from toril.engine.runners.references import MAIN_NAMES
from toril.engine.stand_ins import standing_for
from toril.engine.texts import MAX_CARRIED_BYTES, beginning, text_of

MAX_PLAIN_BYTES = 64 * 1024
"""Of arguments and attributes together: of an exception with more, its text is kept."""
_MOST_KINDS = 100


class ErrorImage(msgspec.Struct, frozen=True):
    """An exception in the form in which a child sends it."""

    kinds: list[str]
    """Its classes as `module:qualname`, its own first, then its bases."""
    plain: bytes
    """Its arguments, its attributes, and what an `OSError` was made of, as `plain.to_bytes`."""
    text: str


class TaskRaisedError(TorilError):
    """A task in a child process raised something that cannot be carried over as it is.

    Its class is not imported in the worker, or it is no `Exception` (`SystemExit`,
    `CancelledError`), which would end the worker itself.
    """

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        self.text = text
        super().__init__(f"{kind}: {text}" if text else kind)

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.kind, self.text)


def image_of(error: BaseException) -> ErrorImage:
    """Return an exception in the form in which a child sends it. Never raises."""
    text = text_of(error, MAX_CARRIED_BYTES)
    arguments = tuple(_plain_or_text(one) for one in error.args)
    attributes = {name: value for name, value in vars(error).items() if _is_plain(value)}
    try:
        data = plain.to_bytes([arguments, attributes, _made_of(error)])
    except Exception:  # anything may happen in somebody's subclass of a plain type
        data = b""
    if not 0 < len(data) <= MAX_PLAIN_BYTES:
        data = plain.to_bytes([(text,), {}, None])
    kinds = [_name_of(kind) for kind in type(error).__mro__[:_MOST_KINDS]]
    return ErrorImage(kinds, data, text)


def error_from(image: ErrorImage) -> Exception:
    """Return the exception of an image, or a `TaskRaisedError` that stands for it."""
    known = [kind for kind in map(_kind_named, image.kinds[:_MOST_KINDS]) if kind is not None]
    own = image.kinds[0] if image.kinds else "an error"
    if known and (_name_of(known[0]) == own or issubclass(known[0], Outcome)):
        with suppress(Exception):  # of another make than a child's own, or somebody's `__slots__`
            return _made(known[0], image.plain)
    error = TaskRaisedError(
        beginning(own.replace(":", ".", 1)), beginning(image.text, MAX_CARRIED_BYTES)
    )
    return standing_for(error, tuple(known))


def _made(kind: type[BaseException], data: bytes) -> Exception:
    # A coroutine cannot raise StopIteration, and what is no Exception would end the worker.
    if not issubclass(kind, Exception) or issubclass(kind, StopIteration):
        raise TypeError
    arguments, attributes, made_of = plain.from_bytes(data)
    # The interpreter's own class knows what its fields are made of, and runs nobody's code.
    base = next(one for one in kind.__mro__ if one.__module__ == "builtins")
    error: Exception = base.__new__(kind, *(made_of or arguments))
    base.__init__(error, *(made_of or arguments))  # type: ignore[misc]  # base is its class's base
    error.args = arguments
    vars(error).update(attributes)
    return error


def _made_of(error: BaseException) -> tuple[object, ...] | None:
    """Return what an `OSError` was made of: its arguments have lost the names of files."""
    if not isinstance(error, OSError) or error.errno is None:
        return None
    fields = (error.errno, error.strerror, error.filename, None, error.filename2)
    return fields if error.filename2 is not None else fields[: 3 if error.filename else 2]


def _kind_named(name: str) -> type[BaseException] | None:
    """Return a class of exceptions that is imported here; nothing is imported for it."""
    module_name, _, qualname = name.partition(":")
    place: object = sys.modules.get("__main__" if module_name in MAIN_NAMES else module_name)
    for part in qualname.split("."):
        # Not by `getattr`: modules may import what they are asked for.
        place = vars(place).get(part) if hasattr(place, "__dict__") else None
    if isinstance(place, type) and issubclass(place, BaseException):
        return place
    return None


def _name_of(kind: type) -> str:
    module = "__main__" if kind.__module__ in MAIN_NAMES else kind.__module__
    return f"{module}:{kind.__qualname__}"


def _is_plain(value: object) -> bool:
    try:
        plain.to_bytes(value)
    except Exception:  # as above
        return False
    return True


def _plain_or_text(value: object) -> object:
    if _is_plain(value):
        return value
    try:
        return beginning(str(value), MAX_CARRIED_BYTES)
    except BaseException:  # as above
        return f"({type(value).__qualname__})"
