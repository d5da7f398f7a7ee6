"""Reads what the code says of the fields of its records: the text below each, for OpenAPI."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Iterable
from functools import cache
from typing import Any, get_origin

from msgspec import inspect as types


@cache
def texts_of(kind: type) -> dict[str, str]:
    """Return the texts of the fields of a class, those that it inherits included."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if one.__module__.partition(".")[0] == "toril":
            found |= _own_texts(one)
    return found


def _own_texts(kind: type) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError):  # installed without its sources
        return {}
    found: dict[str, str] = {}
    (definition,) = tree.body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    for field, text in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            found[field.target.id] = " ".join(text.value.value.split())
    return found


def classes_in(kinds: Iterable[Any]) -> list[type]:
    """Return the records that some types are made of, each once."""
    found: dict[type, None] = {}
    todo: list[types.Type] = list(types.multi_type_info(list(kinds)))
    while todo:
        one = todo.pop()
        if isinstance(one, types.StructType | types.DataclassType):
            kind = get_origin(one.cls) or one.cls  # a page of something is a page
            if kind in found:
                todo += [field.type for field in one.fields if kind is not one.cls]
                continue
            found[kind] = None
            todo += [field.type for field in one.fields]
        for name in ("type", "item_type", "value_type", "key_type"):
            inner = getattr(one, name, None)
            if isinstance(inner, types.Type):
                todo.append(inner)
        todo += getattr(one, "types", ())
    return list(found)
