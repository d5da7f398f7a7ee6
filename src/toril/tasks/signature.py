"""A function's parameters are its payload's schema.

A payload is a JSON object with the parameters' names (in camelCase where the task says so). It is
checked at the door, where unknown fields are refused, and again when run, where they are ignored:
producers in other languages may send more.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, get_type_hints

import msgspec

from toril.core.checks import nearest, require
from toril.core.codec import decode_hook, encode_text
from toril.core.errors import InvalidOptionError, InvalidPayloadError
from toril.engine.context import Context
from toril.tasks.inject import Provided

Rename = Literal["camel"] | None

_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Signature:
    """What a task takes."""

    def __init__(self, task: str, function: Callable[..., Any], rename: Rename) -> None:
        """Read a function's signature.

        Raises:
            InvalidOptionError: It cannot be a payload; the message says which parameter and why.
        """
        self._task = task
        hints = _hints(task, function)
        self.context_name: str | None = None
        self.provided_names: dict[str, type] = {}
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        parameters = []
        for position, parameter in enumerate(inspect.signature(function).parameters.values()):
            name = parameter.name
            hint = hints.get(name, Any)
            if hint is Context:
                require(position == 0, f"task {task!r}", name, "the Context as first parameter")
                self.context_name = name
                continue
            if isinstance(parameter.default, Provided):
                self.provided_names[name] = parameter.default.kind
                continue
            require(
                parameter.kind in _KINDS,
                f"task {task!r}",
                str(parameter),
                "named parameters only: they are the fields of the payload",
            )
            parameters.append(parameter)
            if parameter.default is inspect.Parameter.empty:
                fields.append((name, hint))
            else:
                fields.append((name, hint, _default(parameter.default)))
        self._names = {field[0]: field[0] for field in fields}
        if rename == "camel":
            self._names = {name: _camel(name) for name in self._names}
        self._renamed = rename is not None
        self._wire_names = set(self._names.values())
        self._signature = inspect.Signature(parameters)
        positional = [one.name for one in parameters if one.kind is _KINDS[0]]
        self._all_positional = positional if len(positional) == len(parameters) else None
        """Names of all parameters, if each may be given by its place."""
        self.payload_type = self._struct(fields, rename)
        self._decoder = msgspec.json.Decoder(self.payload_type, dec_hook=decode_hook)
        self._fields = tuple(self._names)

    def bind(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> str:
        """Return the payload of a call, as JSON text.

        Raises:
            InvalidPayloadError: The call does not fit; the message names the field and the value.
        """
        names = self._all_positional
        if arguments and names is not None and len(arguments) == len(names) and not keywords:
            keywords = dict(zip(names, arguments, strict=True))
        elif arguments:
            try:
                keywords = self._signature.bind(*arguments, **keywords).arguments
            except TypeError as error:
                raise InvalidPayloadError(self._task, "(call)", str(error)) from None
        return self.check(keywords)

    def check(self, keywords: Mapping[str, Any]) -> str:
        """Return the payload of named values, as JSON text; errors as `bind`."""
        names = self._names
        payload: Mapping[str, Any]
        try:
            if self._renamed:
                payload = {names[name]: value for name, value in keywords.items()}
            elif keywords.keys() <= names.keys():
                payload = keywords
            else:
                raise self._unknown(next(iter(keywords.keys() - names.keys())))
        except KeyError as unknown:
            raise self._unknown(unknown.args[0]) from None
        try:
            text = encode_text(payload)
        except (TypeError, ValueError) as error:
            raise self._unfit(payload, error) from None
        try:
            self._decoder.decode(text)
        except msgspec.ValidationError as error:
            raise self._invalid(payload, error) from None
        return text

    def check_text(self, text: str) -> None:
        """Refuse the JSON text of a payload that does not fit, or has unknown fields.

        Raises:
            InvalidPayloadError: As `bind`.
        """
        self.read(text)
        for name in msgspec.json.decode(text, type=dict[str, msgspec.Raw]):
            if name not in self._wire_names:
                raise self._unknown(name)

    def read(self, text: str) -> dict[str, Any]:
        """Return the function's arguments from a stored payload. Unknown fields are ignored.

        Raises:
            InvalidPayloadError: It does not fit.
        """
        try:
            payload = self._decoder.decode(text)
        except msgspec.ValidationError as error:
            raise self._invalid(_loose(text), error) from None
        except msgspec.DecodeError as error:
            raise InvalidPayloadError(self._task, "(payload)", f"not JSON: {error}") from None
        return {name: getattr(payload, name) for name in self._fields}

    def _struct(
        self, fields: list[tuple[str, Any] | tuple[str, Any, Any]], rename: Rename
    ) -> type[msgspec.Struct]:
        try:
            struct = msgspec.defstruct("Payload", fields, kw_only=True, rename=rename, gc=False)
            msgspec.json.Decoder(struct, dec_hook=decode_hook)
        except TypeError as error:
            raise InvalidOptionError(
                f"task {self._task!r}: its parameters cannot be a payload: {error}"
            ) from error
        return struct

    def _unknown(self, name: str) -> InvalidPayloadError:
        close = nearest(name, self._wire_names)
        known = ", ".join(sorted(self._wire_names)) or "none"
        way_out = f"did you mean {close!r}?" if close else f"known are {known}"
        return InvalidPayloadError(self._task, name, f"unknown; {way_out}")

    def _invalid(self, payload: object, error: msgspec.ValidationError) -> InvalidPayloadError:
        """Turn msgspec's words into the field's name, what was found and what was expected."""
        # The last one is msgspec's; a pydantic model's own path, inside its problem, comes before.
        problem, at, path = str(error).rpartition(" - at `")
        if not at:
            problem, path = path, ""
        field = path.rstrip("`").removeprefix("$.").removeprefix("$")
        if not field:
            missing = problem.partition("missing required field `")[2].rstrip("`")
            if missing:
                return InvalidPayloadError(self._task, missing, "missing")
            return InvalidPayloadError(self._task, "(payload)", problem)
        if isinstance(payload, dict) and field in payload:
            problem = f"{problem}; the value is {_short(payload[field])}"
        return InvalidPayloadError(self._task, field, problem)

    def _unfit(self, payload: Mapping[str, Any], error: Exception) -> InvalidPayloadError:
        """Name the field that cannot be JSON."""
        for name, value in payload.items():
            try:
                encode_text(value)
            except (TypeError, ValueError) as cause:
                return InvalidPayloadError(self._task, name, f"{cause}; it is {_short(value)}")
        return InvalidPayloadError(self._task, "(payload)", str(error))


def _hints(task: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise InvalidOptionError(
            f"task {task!r}: {error} when its annotations are read; import the type at run time,"
            " not under TYPE_CHECKING only"
        ) from None


def _default(value: Any) -> Any:
    """Return a default as msgspec wants it: what can change is made anew each time."""
    if isinstance(value, list | dict | set):
        return msgspec.field(default_factory=partial(copy.deepcopy, value))
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _loose(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
