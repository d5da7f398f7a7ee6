"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re

from tests.house.tree import PACKAGE, modules, texts

DUMPING_GROUNDS = {"utils", "util", "common", "helpers", "helper", "misc", "base", "tools"}


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(path) for path, tree in modules() if not ast.get_docstring(tree)]
    assert silent == []


def test_every_folder_has_a_sign_on_its_door() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_doors_hold_a_sign_and_exports_and_no_logic() -> None:
    allowed = (ast.Import, ast.ImportFrom, ast.Expr, ast.Assign)
    for path, tree in modules():
        if path.name == "__init__.py":
            odd = [type(node).__name__ for node in tree.body if not isinstance(node, allowed)]
            # The contract is a record of its roles, and that record is its door; the package's own
            # door imports a name when it is first asked for.
            assert odd == [] or str(path.parent) in ("engine/contract", "."), path


def test_no_module_is_a_dumping_ground() -> None:
    names = {part.removesuffix(".py") for path, _ in modules() for part in path.parts}
    assert names & DUMPING_GROUNDS == set()


def test_no_module_is_hidden() -> None:
    hidden = [str(path) for path, _ in modules() if re.match(r"_(?!_)", path.name)]
    assert hidden == []


def test_nothing_prints_but_the_command_line() -> None:
    for path, tree in modules():
        calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
        prints = [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]
        assert not prints or path.parts[0] == "cli", path


def test_nothing_is_left_to_be_done() -> None:
    mark = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX")) + r")\b")
    marked = [str(path) for path, text in texts("src", "tests", "docs") if mark.search(text)]
    assert marked == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    place = re.compile(
        "|".join(("/ho" + "me/[a-z]+/", "/wo" + "rk/", "/ro" + "ot/", "/Us" + "ers/"))
    )
    named = [
        str(path)
        for path, text in texts("src", "tests", "docs", "examples", "Makefile", "pyproject.toml")
        if place.search(text)
    ]
    assert named == []


def test_every_silenced_warning_says_why() -> None:
    """`# noqa: X - why`; an ignored type says its code."""
    bare = re.compile(r"#\s*noqa(?!: [A-Z]+[0-9]+)|#\s*type:\s*ignore(?!\[)")
    unexplained = re.compile(r"#\s*noqa: [A-Z]+[0-9]+(?:, ?[A-Z]+[0-9]+)*\s*$", re.MULTILINE)
    for path, text in texts("src/toril"):
        assert not bare.search(text), path
        assert not unexplained.search(text), path


def test_redis_client_knows_nothing_of_queues() -> None:
    """Keys, scripts and roles use it, and never the other way round."""
    above = re.compile(r"toril\.backends\.redis\b(?!\.client\b)|toril\.engine\b")
    found = [
        (str(path), node.module)
        for path, tree in modules()
        for node in ast.walk(tree)
        if str(path.parent) == "backends/redis/client" and isinstance(node, ast.ImportFrom)
        if above.match(node.module or "")
    ]
    assert found == []
