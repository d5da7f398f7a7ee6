"""The public face: all of it there, all of it documented, written in one list."""

from __future__ import annotations

import ast
import importlib
import inspect
import re

import pytest
from tests.house.tree import PACKAGE, ROOT

FACES = ("toril", "toril.testing", "toril.typed", "toril.contrib.django")


@pytest.mark.parametrize("face", FACES)
def test_everything_exported_is_there_and_documented(face: str) -> None:
    module = importlib.import_module(face)
    for name in module.__all__:
        found = getattr(module, name)
        if name != "__version__" and not _is_alias(found):
            own = found.__dict__.get("__doc__") if inspect.isclass(found) else found.__doc__
            assert own, f"{face}.{name} has no docstring"
            assert not own.startswith(f"{name}("), f"{face}.{name}: a dataclass made its docstring"


def test_public_names_stand_in_one_list() -> None:
    """There were three, and a name had to be added to each."""
    tree = ast.parse((PACKAGE / "public.py").read_text("utf-8"))
    listed = [alias.asname for node in tree.body if isinstance(node, ast.ImportFrom)
              for alias in node.names]  # fmt: skip

    toril = importlib.import_module("toril")

    assert listed == list(dict.fromkeys(listed))
    assert toril.__all__ == ["__version__", *listed]
    assert set(toril.__all__) <= set(dir(toril))
    assert len(tree.body) == 1 + len(listed), "nothing else is in there but its docstring"


def test_star_brings_the_public_names_and_nothing_else() -> None:
    names: dict[str, object] = {}
    exec("from toril import *", names)

    assert names.keys() - {"__builtins__"} == set(importlib.import_module("toril").__all__)


def test_what_is_not_public_is_refused_by_name() -> None:
    toril = importlib.import_module("toril")
    for name in ("Apps", "_private", "__wrapped__"):
        with pytest.raises(AttributeError, match=f"module 'toril' has no attribute {name!r}"):
            getattr(toril, name)


def test_everything_exported_by_the_test_tools_is_imported_there() -> None:
    path = PACKAGE / "testing" / "__init__.py"
    imported = [
        alias.asname or alias.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("toril.")
        for alias in node.names
    ]
    assert sorted(imported) == sorted(importlib.import_module("toril.testing").__all__)


@pytest.mark.parametrize("face", FACES)
def test_every_public_name_is_in_the_reference(face: str) -> None:
    reference = ROOT / "docs" / "reference"
    pages = "\n".join(path.read_text("utf-8") for path in sorted(reference.glob("*.md")))
    public = set(importlib.import_module(face).__all__) - {"__version__"}
    there = set(re.findall(rf"^(?:::: |<!-- made: .+ of ){face}\.(\w+)", pages, re.MULTILINE))
    if "<!-- made: errors -->" in pages:
        there |= {name for name in public if name.endswith("Error")}
    there |= {name for name in ("State", "Profile") if f"<!-- made: {name.lower()}s -->" in pages}
    assert public - there == set(), "public, and on no page of docs/reference"


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
