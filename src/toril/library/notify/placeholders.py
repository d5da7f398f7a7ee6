"""Values of an event's payload in the options of a notification: `{{ payload.order.id }}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from toril.services.unusable import UnusableInputError

_HOLE = re.compile(r"\{\{\s*payload((?:\.[A-Za-z0-9_-]+)+)\s*\}\}")
_MISSING = object()


def check_holes(value: Any, where: str) -> None:
    """Refuse texts with placeholders that cannot be read.

    Raises:
        UnusableInputError: With the text.
    """
    if isinstance(value, str):
        rest = _HOLE.sub("", value)
        if "{{" in rest or "}}" in rest:
            reason = f"{value!r}: expected placeholders such as {{{{ payload.order.id }}}}"
            raise UnusableInputError(where, reason)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            check_holes(each, f"{where}.{name}")
    elif isinstance(value, list):
        for each in value:
            check_holes(each, where)


def filled(value: Any, payload: Mapping[str, Any], where: str) -> Any:
    """Return a value with its placeholders filled. A text that is one placeholder keeps its type.

    Raises:
        UnusableInputError: The payload has no such value; the message names its path.
    """
    if isinstance(value, str):
        if whole := _HOLE.fullmatch(value.strip()):
            return _value(payload, whole[1], where)
        return _HOLE.sub(lambda hole: _text(_value(payload, hole[1], where)), value)
    if isinstance(value, Mapping):
        return {name: filled(each, payload, f"{where}.{name}") for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, payload, where) for each in value]
    return value


def matches(when: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
    """Whether a payload has these values at these paths."""
    return all(
        _found(payload, path.removeprefix("payload.").split(".")) == value
        for path, value in when.items()
    )


def _value(payload: Mapping[str, Any], path: str, where: str) -> Any:
    found = _found(payload, path[1:].split("."))
    if found is _MISSING:
        raise UnusableInputError(where, f"the event's payload has no {path[1:]!r}; send it along")
    return found


def _found(payload: Any, path: list[str]) -> Any:
    for name in path:
        if not isinstance(payload, Mapping) or name not in payload:
            return _MISSING
        payload = payload[name]
    return payload


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
