"""The wheel as people get it: everything inside that the package reads at run time."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.house.tree import PACKAGE, ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    pip = ["pip", "wheel", "--quiet", "--no-deps", "--disable-pip-version-check"]
    if _has("hatchling"):
        pip.append("--no-build-isolation")
    subprocess.run(
        [sys.executable, "-m", *pip, "--wheel-dir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
        text=True,
        timeout=250,
    )
    (path,) = folder.glob("toril-*.whl")
    return zipfile.ZipFile(path)


def _has(module: str) -> bool:
    command = [sys.executable, "-c", f"import {module}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_every_file_of_the_package_is_in_it(wheel: zipfile.ZipFile) -> None:
    inside = set(wheel.namelist())
    here = {
        f"toril/{path.relative_to(PACKAGE).as_posix()}"
        for path in Path(PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert here - inside == set()
    assert "toril/py.typed" in inside
    assert any(name.endswith(".sql") for name in inside)


def test_nothing_else_is_in_it(wheel: zipfile.ZipFile) -> None:
    assert {name.partition("/")[0].partition("-")[0] for name in wheel.namelist()} == {"toril"}


def test_it_has_its_command_and_its_fixtures(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    text = wheel.read(name).decode()
    assert "toril = toril.cli.main:main" in text
    assert "toril = toril.testing.fixtures" in text
