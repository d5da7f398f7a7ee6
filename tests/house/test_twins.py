"""Contract, store and conformance tests have the same names, so one listing checks another."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re

import pytest
from tests.house.tree import PACKAGE, ROOT

from toril.engine.contract import Backend

ROLES = {
    path.stem
    for path in (PACKAGE / "engine" / "contract").glob("*.py")
    if path.name != "__init__.py"
}


STORES = ("sqlite", "redis")


@pytest.mark.parametrize("store", STORES)
def test_every_role_is_fulfilled_under_its_name(store: str) -> None:
    there = {path.stem for path in (PACKAGE / "backends" / store).glob("*.py")}
    assert there >= ROLES


@pytest.mark.parametrize("store", STORES)
def test_every_role_has_the_methods_of_its_contract_and_their_parameters(store: str) -> None:
    held = {field.name: str(field.type) for field in dataclasses.fields(Backend)}
    for role in sorted(ROLES):
        contract = vars(importlib.import_module(f"toril.engine.contract.{role}"))
        module = vars(importlib.import_module(f"toril.backends.{store}.{role}"))
        protocol = contract[held[role]]
        twin = module[f"{store.title()}{protocol.__name__}"]
        for name, wanted in vars(protocol).items():
            if not name.startswith("_") and inspect.isfunction(wanted):
                found = getattr(twin, name, None)
                assert found is not None, f"{twin.__name__} lacks {name}"
                there = list(inspect.signature(found).parameters)
                assert there == list(inspect.signature(wanted).parameters), twin


def test_every_role_is_held_by_the_backend_under_its_name() -> None:
    assert {field.name for field in dataclasses.fields(Backend)} >= ROLES


@pytest.mark.parametrize("role", sorted(ROLES))
def test_every_method_of_a_role_has_a_caller(role: str) -> None:
    """A method that nobody calls is a promise that every store keeps for nothing."""
    code = "\n".join(
        path.read_text("utf-8")
        for path in PACKAGE.rglob("*.py")
        if path.parent.name not in ("sqlite", "redis", "contract")
    )
    tree = ast.parse((PACKAGE / "engine" / "contract" / f"{role}.py").read_text("utf-8"))
    held = {field.name: field.type for field in dataclasses.fields(Backend)}
    methods = {
        method.name
        for protocol in tree.body
        if isinstance(protocol, ast.ClassDef) and protocol.name == held[role]
        for method in protocol.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    # `by`: an exchange is made by the store or by its standing claim (`engine/storing.py`).
    uncalled = {name for name in methods if not re.search(rf"({role}|by)\.{name}\b", code)}
    assert methods
    assert uncalled == set()


def test_every_role_is_tested_under_its_name() -> None:
    tests = [path.stem for path in (ROOT / "tests" / "conformance").glob("test_*.py")]
    untested = {
        role for role in ROLES if not any(name.startswith(f"test_{role}") for name in tests)
    }
    assert untested == set()


def test_every_script_is_used_and_there() -> None:
    folder = PACKAGE / "backends" / "redis"
    code = "\n".join(path.read_text("utf-8") for path in folder.glob("**/*.py"))
    scripts = {path.stem for path in (folder / "lua").glob("*.lua")}
    # By its name in script("…"), or as a verb that a method hands on.
    assert {name for name in scripts if f'"{name}"' not in code} == set()


def test_every_script_opens_with_its_name_and_what_it_is_for() -> None:
    for path in (PACKAGE / "backends" / "redis" / "lua").rglob("*.lua"):
        first = path.read_text("utf-8").partition("\n")[0]
        assert first.startswith(f"-- {path.stem}: "), path.name


def test_every_statement_is_used_and_there() -> None:
    folder = PACKAGE / "backends" / "sqlite"
    code = "\n".join(path.read_text() for path in folder.glob("*.py"))
    statements = {path.stem for path in (folder / "sql").glob("*.sql")}
    unused = {name for name in statements if name.rpartition("_back")[0] == ""
              and f'"{name}"' not in code and f"'{name}'" not in code
              and f"{name}" not in code and not name.startswith("list_")}  # fmt: skip
    assert unused == set()


def test_every_statement_opens_with_its_name_and_what_it_is_for() -> None:
    for path in (PACKAGE / "backends" / "sqlite" / "sql").glob("*.sql"):
        first = path.read_text("utf-8").partition("\n")[0]
        assert first.startswith(f"-- {path.stem}: "), path.name
