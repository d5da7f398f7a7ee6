"""What type checkers say to those who use Toril: nothing when it is right, else what is wrong."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
Checker = Callable[[str, Path], list[int]]
MARKED = {
    number
    for number, line in enumerate((HERE / "bad.py").read_text().splitlines(), 1)
    if line.endswith("# E")
}


def mypy(name: str, tmp_path: Path) -> list[int]:
    """Return the lines in which mypy finds an error."""
    done = _run("mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", str(HERE / name))
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [int(line) for line in re.findall(rf"{name}:(\d+): error", done.stdout)]


def pyright(name: str, tmp_path: Path) -> list[int]:
    """Return the lines in which pyright finds an error."""
    shutil.copy(HERE / name, tmp_path)
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(json.dumps({"include": [name], "typeCheckingMode": "strict"}))
    done = _run("pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(settings))
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1, done.stdout
    return [
        problem["range"]["start"]["line"] + 1
        for problem in report["generalDiagnostics"]
        if problem["severity"] == "error" and not problem["rule"].startswith("reportUnused")
    ]


def _run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_what_is_right_is_left_alone(checker: Checker, tmp_path: Path) -> None:
    assert checker("good.py", tmp_path) == []


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_every_mistake_is_found_on_its_line(checker: Checker, tmp_path: Path) -> None:
    assert sorted(set(checker("bad.py", tmp_path))) == sorted(MARKED)
