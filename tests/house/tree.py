"""Where everything is, for the tests of the house."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "toril"


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """Yield every module of the package, by its path in it, with its tree."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE), ast.parse(path.read_text("utf-8"))


def texts(*folders: str) -> Iterator[tuple[Path, str]]:
    """Yield every text file below folders of the repository."""
    suffixes = {".py", ".md", ".sql", ".toml", ".yml", ".yaml", ".html", ".txt", ".json", ""}
    foreign = {"__pycache__", "node_modules"}
    for folder in folders:
        place = ROOT / folder
        paths = [place] if place.is_file() else sorted(place.rglob("*"))
        for path in paths:
            if not foreign.isdisjoint(path.parts):
                continue
            if path.is_file() and path.suffix in suffixes:
                try:
                    yield path.relative_to(ROOT), path.read_text("utf-8")
                except UnicodeDecodeError:  # no text after all
                    continue
