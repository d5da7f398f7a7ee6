"""Every example runs as it is, prints what its header says, and stays small."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
MAX_LINES = 60
DEADLINE_S = 120


def header(path: Path) -> str:
    """Return an example's docstring."""
    return ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""


def expected(path: Path) -> list[str]:
    """Return the lines that an example says it prints: what follows `Prints:`."""
    before, mark, prints = header(path).partition("\nPrints:\n")
    assert mark, f"{path.name}: its header has no 'Prints:'"
    assert f"python examples/{path.name}" in before, f"{path.name}: its header says how to run it"
    return textwrap.dedent(prints).splitlines()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 13


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_prints_what_its_header_says(path: Path, tmp_path: Path) -> None:
    # An empty folder and no settings from outside: an example needs no setup and leaves nothing.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TORIL_", "MEDIA"))
    }
    environment.pop("WORKER_TYPE", None)

    run = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=tmp_path,
        env=environment | {"PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert [line.rstrip() for line in run.stdout.splitlines()] == expected(path)
    assert run.stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_small(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES


def test_examples_pass_the_type_checker() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-incremental", *map(str, EXAMPLES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
