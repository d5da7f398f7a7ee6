"""Contract, store and conformance tests have the same names, so one listing checks another."""

from __future__ import annotations

from tests.house.tree import PACKAGE, ROOT

ROLES = {
    path.stem
    for path in (PACKAGE / "engine" / "contract").glob("*.py")
    if path.name != "__init__.py"
}


def test_every_role_is_fulfilled_under_its_name() -> None:
    store = {path.stem for path in (PACKAGE / "backends" / "sqlite").glob("*.py")}
    assert store >= ROLES


def test_every_role_is_tested_under_its_name() -> None:
    tests = [path.stem for path in (ROOT / "tests" / "conformance").glob("test_*.py")]
    untested = {
        role for role in ROLES if not any(name.startswith(f"test_{role}") for name in tests)
    }
    assert untested == set()


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
