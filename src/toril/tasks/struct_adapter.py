"""Adapters of payloads that are declared as structs of msgspec."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from toril.tasks.parameters import WholePayload
from toril.tasks.task import Task

Prepare = Callable[[dict[str, Any]], Mapping[str, Any]]


def struct_adapter(
    kind: type[msgspec.Struct],
    task: Task[..., Any],
    *,
    check: Callable[[Any], object] | None = None,
    prepare: Prepare | None = None,
) -> Callable[..., Any]:
    """Return an adapter for `App.bind`: a struct's fields become the task's parameters.

    Fields that the task has no parameter for are left out.

    Parameters:
        kind: The payload.
        task: The task that is bound.
        check: Is given the payload, and refuses it by an error: see adapters. Default: nothing.
        prepare: Is given a payload as it is stored, and returns what `kind` is made of: for
            producers whose fields have other names. Then unknown fields are no reason to refuse a
            payload. Default: it is as it is.
    """
    known = inspect.signature(task.function).parameters

    def arguments(payload: msgspec.Struct) -> dict[str, Any]:
        if check is not None:
            check(payload)
        names = payload.__struct_fields__
        return {name: getattr(payload, name) for name in names if name in known}

    if prepare is None:

        def whole(data: Any) -> dict[str, Any]:
            return arguments(data)

        whole.copies = "data"  # type: ignore[attr-defined]  # see `adapters`
        whole.__annotations__["data"] = WholePayload[kind]  # type: ignore[misc, valid-type, unused-ignore]
        return whole

    def prepared(data: WholePayload[dict[str, Any]]) -> dict[str, Any]:
        try:
            made = prepare(dict(data))
        except (KeyError, TypeError) as error:
            raise ValueError(f"expected other fields: {error}") from None
        return arguments(msgspec.convert(made, kind))

    return prepared
