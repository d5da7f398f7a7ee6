"""The first page in the repository and that of the documentation: short, true and alike."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.house.tree import ROOT

from toril.cli.top import COLUMNS, WORKER_COLUMNS

README = ROOT / "README.md"
FRONT = ROOT / "docs" / "index.md"
PICTURE = ROOT / "docs" / "terminal.svg"
LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")


def picture_text() -> str:
    """Return what the picture shows, line by line."""
    lines: dict[float, str] = {}
    for element in ElementTree.parse(PICTURE).iter("{http://www.w3.org/2000/svg}text"):
        y = float(element.attrib["y"])
        lines[y] = lines.get(y, "") + (element.text or "").replace("\xa0", " ")
    return "\n".join(lines.values())


def test_readme_is_one_screen() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= 90


@pytest.mark.parametrize("page", [README, FRONT], ids=["README", "docs"])
def test_first_page_shows_the_terminal_and_says_what_it_shows(page: Path) -> None:
    (shown,) = re.findall(r"!\[([^]]+)\]\((?:docs/)?terminal\.svg\)", page.read_text("utf-8"))

    assert "toril top" in shown
    assert "toril jobs explain" in shown


def test_first_pages_say_the_same_of_when_not_to_use_it() -> None:
    tables = [
        re.search(r"^\| You need \| Better \|\n(?:\|.*\n)+", page.read_text("utf-8"), re.MULTILINE)
        for page in (README, FRONT)
    ]

    first, second = [LINK.sub(r"\1", table[0]) for table in tables if table is not None]
    assert first == second
    assert len(first.splitlines()) >= 8


def test_picture_is_of_the_commands_as_they_are() -> None:
    """`make picture` draws it anew."""
    shown = picture_text()

    titles = [column.title for column in (*COLUMNS, *WORKER_COLUMNS)]
    assert [title for title in titles if title not in shown] == []
    for word in ("$ toril top", "done/s", "working", "$ toril jobs explain", "`toril resume"):
        assert word in shown


def test_picture_needs_nothing_from_elsewhere_and_no_light_or_dark_page() -> None:
    text = PICTURE.read_text("utf-8")

    assert re.findall(r"https?://(?!www\.w3\.org/)[^\s\"<]+|@import|@font-face|<script", text) == []
    assert re.search(r'<rect fill="#1e1e24"[^>]+rx="8"', text), "a background of its own"
    assert len(text) < 40_000
