"""The public face: all of it there, all of it documented, the same in its three lists."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import pytest
from tests.house.tree import PACKAGE

FACES = ("toril", "toril.testing")


@pytest.mark.parametrize("face", FACES)
def test_everything_exported_is_there_and_documented(face: str) -> None:
    module = importlib.import_module(face)
    for name in module.__all__:
        found = getattr(module, name)
        if name != "__version__" and not _is_alias(found):
            own = found.__dict__.get("__doc__") if inspect.isclass(found) else found.__doc__
            assert own, f"{face}.{name} has no docstring"
            assert not own.startswith(f"{name}("), f"{face}.{name}: a dataclass made its docstring"


@pytest.mark.parametrize("face", FACES)
def test_everything_imported_at_the_face_is_exported_in_order(face: str) -> None:
    path = PACKAGE.parent.joinpath(*face.split("."), "__init__.py")
    imported = {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("toril.")
        for alias in node.names
    }
    exported = importlib.import_module(face).__all__
    assert imported == set(exported)
    assert len(exported) == len(set(exported))


def test_names_are_imported_from_where_type_checkers_find_them() -> None:
    """The face is lazy: what type checkers read and what Python reads are two lists."""
    face = importlib.import_module("toril")
    tree = ast.parse(Path(str(face.__file__)).read_text())
    homes = {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("toril.")
        for alias in node.names
        if alias.asname is None
    }
    assert homes == {(home, name) for home, names in face._HOMES.items() for name in names}


def test_every_public_method_says_what_it_is_for() -> None:
    module = importlib.import_module("toril")
    missing = []
    for name in module.__all__:
        found = getattr(module, name)
        if not inspect.isclass(found) or issubclass(found, BaseException):
            continue
        for member, value in vars(found).items():
            if member.startswith("_"):
                continue
            if inspect.isfunction(value) or isinstance(value, property | classmethod):
                if not (getattr(value, "__doc__", None) or "").strip():
                    missing.append(f"{name}.{member}")
    assert missing == []


def _is_alias(found: object) -> bool:
    return not inspect.isclass(found) and not inspect.isfunction(found)
