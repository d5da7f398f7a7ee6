"""Converts pydantic models to JSON and back. Imports pydantic only once it meets a model."""

from __future__ import annotations

import functools
import warnings
from typing import Any


def is_model(kind: Any) -> bool:
    """Whether a type is a pydantic model."""
    return hasattr(kind, "model_validate_json") and hasattr(kind, "model_fields")


def dumps(model: Any) -> list[Any]:
    """Return a model in JSON's types twice, by aliases and by names: mostly the same.

    Computed fields are left out.
    """
    return [
        model.model_dump(mode="json", by_alias=by_alias, round_trip=True, warnings=False)
        for by_alias in (True, False)
    ]


def validated(kind: Any, text: bytes) -> Any:
    """Return a model from its JSON, in which fields may be called by alias or name.

    Raises:
        ValueError: It does not fit; the message ends with the path.
    """
    # JSON mode: strict models read moments and sets from JSON only there.
    try:
        if _can_read_names():
            return kind.model_validate_json(text, by_alias=True, by_name=True)
        return kind.model_validate_json(text)
    except ValueError as error:  # pydantic.ValidationError is one
        raise ValueError(_first_problem(error)) from error


def spellings(kind: Any) -> dict[Any, str]:
    """Return a model's fields by each key that they may have in JSON.

    Includes computed fields: they may be in the JSON, and are computed again.
    """
    config = kind.model_config
    by_name = _can_read_names() or config.get("populate_by_name", False)
    found: dict[Any, str] = {name: name for name in kind.model_computed_fields}
    for name, field in kind.model_fields.items():
        alias = field.validation_alias
        if alias is None or by_name:
            found[name] = name
        for choice in getattr(alias, "choices", [alias]):
            # Of an `AliasPath` the first step is a key.
            found[choice.path[0] if hasattr(choice, "path") else choice] = name
    found.pop(None, None)
    return found


def problem_of(kind: Any) -> str | None:
    """Return why a model can never be written as JSON; None: it can."""
    from pydantic.errors import PydanticInvalidForJsonSchema

    try:
        with warnings.catch_warnings():  # of defaults that its schema cannot tell
            warnings.simplefilter("ignore")
            kind.model_json_schema(mode="serialization")
    except PydanticInvalidForJsonSchema as error:
        return str(error).partition("\n")[0]
    except Exception:  # parts of it are defined later
        return None
    return None


@functools.cache
def _can_read_names() -> bool:
    from pydantic import VERSION

    return tuple(int(part) for part in VERSION.split(".")[:2]) >= (2, 11)


def _first_problem(error: ValueError) -> str:
    problems = getattr(error, "errors", None)
    if not callable(problems):
        return str(error)
    first = problems()[0]
    path = ".".join(str(part) for part in first["loc"])
    return f"{first['msg']} - at `{path}`"
