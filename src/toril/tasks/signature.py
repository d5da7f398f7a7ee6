"""Derives the schema of a payload from the parameters of a task's function.

A payload is a JSON object with the parameters' names (in camelCase where the task says so). When a
job is added, unknown fields are refused, and so are values that would not arrive as they were
given. When a job runs, unknown fields are ignored, with one warning for each: producers in other
languages, or of a newer version, may send more.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Literal, NotRequired, TypedDict

import msgspec

from toril.core.buffers import decode_with_buffers
from toril.core.checks import nearest
from toril.core.codec import TooDeepError, decode, decode_with, decoder_of, encode_as_is
from toril.core.differences import difference, short
from toril.core.errors import InvalidOptionError, InvalidPayloadError
from toril.core.loggers import logger
from toril.tasks.annotations import UncarriedError, judge_type, named
from toril.tasks.foreign_words import JOB_OPTIONS
from toril.tasks.parameters import Parameters
from toril.tasks.round_trips import ChangedError, written

Rename = Literal["camel"] | None

log = logger("toril.tasks")

MOST_REPORTED = 100
"""Unknown fields of one task that are told of: whoever adds jobs may make up names without end."""
MOST_NAME_CHARS = 120

_EMPTY = inspect.Parameter.empty


class Signature:
    """What a task takes."""

    def __init__(self, task: str, parameters: Parameters, rename: Rename) -> None:
        """Make the schema of a function's parameters.

        Raises:
            InvalidOptionError: It cannot be a payload; the message says which parameter and why.
        """
        self._task = task
        self._whole = None if parameters.whole is None else parameters.whole.name
        taken = [*parameters.fields] if parameters.whole is None else [parameters.whole]
        self._names = {one.name: one.name for one in taken}
        if rename == "camel" and self._whole is None:
            self._names = {name: _camel(name) for name in self._names}
        self._renamed = list(self._names) != list(self._names.values())
        self._wire_names = set(self._names.values())
        self._signature = inspect.Signature(taken)
        positional = [one.name for one in taken if one.kind is one.POSITIONAL_OR_KEYWORD]
        self._all_positional = positional if len(positional) == len(taken) else None
        """Names of all parameters, if each may be given by its place."""
        self._fields = tuple(self._names)
        self._is_trusted = True
        self.reports = True
        """Whether the log tells of unknown fields."""
        self._reported: set[str] = set()
        """Those that it has told of."""
        kinds = {one.name: self._kind(one) for one in taken}
        if parameters.whole is not None:
            self._default = parameters.whole.default
            self._exact = self._decoder = self._door = decoder_of(kinds[parameters.whole.name])
        else:
            self._exact, self._decoder, self._door = self._decoders(taken, kinds)

    def expect(self, other: Signature) -> None:
        """Let the log not tell of the other's fields: what runs the payload knows them."""
        self._reported.update(other._wire_names)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return self._fields

    @property
    def fields_to_name(self) -> tuple[str, ...] | None:
        """The parameters that are fields of the payload. None: one takes the payload whole."""
        return None if self._whole is not None else self._fields

    def on_wire(self, paths: Iterable[str]) -> list[str]:
        """Return paths into a payload, such as `card.number`, by the names on the wire."""
        split = (path.partition(".") for path in paths)
        return [self._names.get(name, name) + dot + rest for name, dot, rest in split]

    def bind(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> str:
        """Return the payload of a call, as JSON text.

        Raises:
            InvalidPayloadError: The call does not fit; the message names the field and the value.
        """
        names = self._all_positional
        if arguments and names is not None and len(arguments) == len(names) and not keywords:
            keywords = dict(zip(names, arguments, strict=True))
        elif arguments:
            keywords = self.by_name(arguments, keywords)
        return self.check(keywords)

    def by_name(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call by the names of the parameters.

        Raises:
            InvalidPayloadError: The function has no such parameters.
        """
        try:
            return self._signature.bind(*arguments, **keywords).arguments
        except TypeError as error:
            raise InvalidPayloadError(self._task, "(call)", str(error)) from None

    def described(self) -> str:
        """Return the fields of the payload, for messages: `to, subject, body?`."""
        return ", ".join(
            self._names[name] + ("" if one.default is _EMPTY else "?")
            for name, one in self._signature.parameters.items()
        )

    def check(self, keywords: Mapping[str, Any]) -> str:
        """Return the payload of named values, as JSON text; errors as `bind`."""
        names = self._names
        payload: Any
        if not keywords.keys() <= names.keys():
            name = next(iter(keywords.keys() - names.keys()))
            raise self._unknown(name, by_call=True)
        if self._whole is not None:
            payload = keywords.get(self._whole, self._default)
            if payload is _EMPTY:
                raise InvalidPayloadError(self._task, self._whole, "missing")
        elif self._renamed:
            payload = {names[name]: value for name, value in keywords.items()}
        else:
            payload = keywords
        # Everything is written, read as the task will read it, and compared. Most payloads come
        # back equal, which one comparison in C says; the rest is looked at piece by piece.
        try:
            encoded = encode_as_is(payload)
            is_same = bool(self._door.decode(encoded) == payload) and self._is_trusted
        except Exception:  # the second look says what it is
            is_same = False
        return encoded.decode() if is_same else self._look_again(payload)

    def check_text(self, text: str) -> None:
        """Refuse the JSON text of a payload that does not fit, or has unknown fields.

        Raises:
            InvalidPayloadError: As `bind`.
        """
        try:
            payload = msgspec.json.decode(text)
            got = self._door.decode(text)
        except msgspec.ValidationError as error:
            self._refuse_misspelt(payload)  # which says more than that the right one is missing
            raise self._invalid(_loose(text), error) from None
        except msgspec.DecodeError as error:
            raise self._unread(error) from None
        except RecursionError:
            raise self._unread(TooDeepError("it is nested too deep")) from None
        if self._whole is None:
            for name in payload:
                if name not in self._wire_names:
                    raise self._unknown(name)
        found = difference(payload, got, from_json=True)
        if found is not None:
            raise InvalidPayloadError(self._task, self._place(found.path), found.text)

    def _refuse_misspelt(self, payload: object) -> None:
        """Refuse unknown fields that are close to known ones."""
        if self._whole is None and isinstance(payload, dict):
            for name in payload.keys() - self._wire_names:
                if nearest(name, self._wire_names - payload.keys()):
                    raise self._unknown(name)

    def read(self, text: str) -> dict[str, Any]:
        """Return the function's arguments from a stored payload.

        Unknown fields are ignored; the first job that has one of a name is told in the log.

        Raises:
            InvalidPayloadError: It does not fit.
        """
        if not self._fields:
            if text != "{}":
                self._report(text)
            return {}  # it takes nothing of any payload
        try:
            payload = self._exact.decode(text)
        except (msgspec.DecodeError, RecursionError):
            payload = self._read_again(text)
        if self._whole is not None:
            return {self._whole: payload}
        return {name: getattr(payload, name) for name in self._fields}

    def _read_again(self, text: str) -> Any:
        """Read what has more fields than the task, or was written by JavaScript.

        That writes `null` for nothing, Buffers, and halves of characters.
        """
        with suppress(msgspec.DecodeError, RecursionError):
            payload = self._decoder.decode(text)
            self._report(text)
            return payload
        if text.strip() == "null":
            if self._whole is None:
                text = "{}"
            elif self._default is not _EMPTY:
                return copy.deepcopy(self._default)
        try:
            return decode_with(self._decoder, text)
        except msgspec.ValidationError as error:
            with suppress(ValueError):
                return decode_with_buffers(self._decoder, text)
            raise self._invalid(_loose(text), error) from None
        except ValueError as error:
            raise self._unread(error) from None

    def _report(self, text: str) -> None:
        """Say, once for each, which fields of a payload are ignored."""
        if self._whole is not None or not self.reports:
            return
        found = _loose(text)
        if not isinstance(found, dict):
            return
        for name in found:
            if name in self._wire_names or name in self._reported:
                continue
            if len(self._reported) >= MOST_REPORTED:
                return
            self._reported.add(name)
            close = nearest(name, self._wire_names)
            log.warning(
                "task %r: payloads have a field %r that this version of the task does not know%s;"
                " it is ignored, and not reported again",
                self._task,
                name[:MOST_NAME_CHARS],
                f" (the nearest is {close!r})" if close else "",
            )

    def _look_again(self, payload: Any) -> str:
        """Return a payload's JSON text after all, or say what is wrong with it."""
        try:
            return written(payload, self._door, is_trusted=self._is_trusted).decode()
        except msgspec.ValidationError as error:
            raise self._invalid(payload, error) from None
        except ChangedError as error:
            raise InvalidPayloadError(
                self._task, self._place(error.path), error.problem
            ) from error.__cause__

    def _kind(self, parameter: inspect.Parameter) -> Any:
        """Return the type of a parameter, once it is known that JSON can carry it."""
        kind = Any if parameter.annotation is _EMPTY else parameter.annotation
        try:
            self._is_trusted &= judge_type(kind).is_trusted
        except UncarriedError as error:
            raise InvalidOptionError(
                f"task {self._task!r}, parameter {parameter.name!r}: {named(kind)} cannot be part"
                f" of a payload: {error}"
            ) from error
        return kind

    def _decoders(
        self, taken: list[inspect.Parameter], kinds: dict[str, Any]
    ) -> tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[Any], msgspec.json.Decoder[Any]]:
        """Return what reads a payload with its defaults, and what reads what was given.

        The first reader refuses fields that the task does not know, which costs the others nothing.
        """
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        given: dict[str, Any] = {}
        for one in taken:
            kind = kinds[one.name]
            seen = Any if kind is msgspec.Raw else kind  # which msgspec does not read there
            if one.default is _EMPTY:
                fields.append((one.name, kind))
                given[self._names[one.name]] = seen
            else:
                fields.append((one.name, kind, _default(one.default)))
                given[self._names[one.name]] = NotRequired[seen]
        try:
            exact, struct = (
                msgspec.defstruct(
                    "Payload",
                    fields,
                    kw_only=True,
                    rename=self._names,
                    gc=False,
                    forbid_unknown_fields=forbid,
                )
                for forbid in (True, False)
            )
            door = decoder_of(TypedDict("Payload", given))  # type: ignore[operator]
            return decoder_of(exact), decoder_of(struct), door
        except TypeError as error:
            raise InvalidOptionError(
                f"task {self._task!r}: its parameters cannot be a payload: {error}"
            ) from error

    def _unknown(self, name: str, *, by_call: bool = False) -> InvalidPayloadError:
        close = nearest(name, self._wire_names)
        known = ", ".join(sorted(self._wire_names)) or "none"
        way_out = f"did you mean {close!r}?" if close else f"known are {known}"
        if by_call and name in JOB_OPTIONS:
            way_out += "; options of a job go before: task.with_options(delay=60).enqueue(...)"
        return InvalidPayloadError(self._task, name, f"unknown; {way_out}")

    def _place(self, path: str) -> str:
        """Return how a user calls a place in a payload."""
        return f"{self._whole or ''}{path}".removeprefix(".") or "(payload)"

    def _unread(self, error: Exception) -> InvalidPayloadError:
        problem = str(error) if isinstance(error, TooDeepError) else f"not JSON: {error}"
        return InvalidPayloadError(self._task, "(payload)", problem)

    def _invalid(self, payload: object, error: msgspec.ValidationError) -> InvalidPayloadError:
        """Turn msgspec's words into the field's name, what was found and what was expected."""
        # The last one is msgspec's; a pydantic model's own path, inside its problem, comes before.
        problem, at, path = str(error).rpartition(" - at `")
        if not at:
            problem, path = path, ""
        if path and not path.startswith(("$", "key`")):  # a model's own, and the model is all
            path = f"$.{path}"
        before, of_key, place = path.rstrip("`").partition("key` in `")
        field = self._place((place if of_key else before).removeprefix("$"))
        if of_key:
            problem = f"as a key: {problem}"
        if field == "(payload)":
            missing = problem.partition("missing required field `")[2].rstrip("`")
            if missing:
                return InvalidPayloadError(self._task, missing, "missing")
            if problem.startswith("Expected `object`"):
                problem += "; a parameter of the type WholePayload[...] takes any JSON"
        if isinstance(payload, dict) and field in payload:
            problem = f"{problem}; the value is {short(payload[field])}"
        return InvalidPayloadError(self._task, field, problem)


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
        return decode(text)
    except ValueError:
        return None
