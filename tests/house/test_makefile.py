"""Every `make` command that a page tells of is there, and `make help` tells of every one."""

from __future__ import annotations

import re

from tests.house.tree import ROOT, texts

MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def test_every_command_that_a_page_names_is_there() -> None:
    named = re.compile(r"(?:`|^|\s)make ([a-z-]+)(?=`|\s+[A-Z]+=|$)", re.MULTILINE)
    for path, text in texts("README.md", "CONTRIBUTING.md", "docs"):
        if path.suffix == ".md":
            blocks = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
            assert set(named.findall(blocks)) - TARGETS == set(), path


def test_every_command_explains_itself() -> None:
    explained = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE))
    assert explained == TARGETS


def test_no_command_is_mistaken_for_a_file() -> None:
    phony = set(re.findall(r"^\.PHONY: ([a-z-]+)$", MAKEFILE, re.MULTILINE))
    assert phony == TARGETS
