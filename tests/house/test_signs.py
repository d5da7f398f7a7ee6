"""Signs lead somewhere: paths, modules and decisions that texts name are there.

A sign is a path, such as engine/operator.py, or the number of a decision. Texts are the pages, and
every docstring, comment and header of the package.
"""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.house.tree import PACKAGE, ROOT, texts

PAGES = ("README.md", "CONTRIBUTING.md", "docs")
PATH = re.compile(r"(?<![\w./<*-])((?:[\w.-]+/)*[\w-]+\.(?:py|lua|sql|md))(?![\w*>-])")
ROOMS = ("src|tests|docs|examples|benchmarks|engine|backends|tasks|services|library|cli|core"
         "|observability|testing|contrib")  # fmt: skip
FOLDER = re.compile(rf"`((?:{ROOMS})/(?:[\w.-]+/)*)`")
DECISION = re.compile(r"\b[Dd]ecisions? (\d+)\b|decisions/(\d{4})")
OF_READERS = {
    "app.py", "before_call.py", "call.py", "mail.py", "manage.py", "project/jobs.py", "shop.py",
    "jobs/registry.py", "jobs/send_text.py", "shared/queues/registry.py", "shop/tasks.py",
    "tasks.py", "worker/queues/registry.py", "worker/queues/my_feature/processor.py",
}  # fmt: skip
"""Names of files that readers make, or that are theirs."""


def words(path: Path) -> Iterator[str]:
    """Yield what a file says to its reader: all of a page, docstrings and comments of code."""
    text = (ROOT / path).read_text("utf-8")
    if path.suffix == ".md":
        prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        yield re.sub(r"\]\([^)]*\)", "]", prose)  # links are checked when the pages are built
    elif path.suffix == ".py":
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT or (
                token.type == tokenize.STRING and token.string.startswith('"""')
            ):
                yield token.string
    else:
        yield "\n".join(line for line in text.splitlines() if line.startswith("--"))


def places() -> list[Path]:
    """Return every file that has signs."""
    found = [
        path for path, _ in texts(*PAGES) if path.suffix == ".md" and path.name != "CHANGELOG.md"
    ]
    found += [path.relative_to(ROOT) for path in sorted(PACKAGE.rglob("*.py"))]
    found += [path.relative_to(ROOT) for path in sorted(PACKAGE.rglob("*.sql"))]
    return found + [path.relative_to(ROOT) for path in sorted(PACKAGE.rglob("*.lua"))]


def ends_of_paths() -> set[str]:
    """Return all that a sign may say: the ends of the paths of files and folders."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=50,
    ).stdout.splitlines()  # fmt: skip
    ends = set()
    for path in map(Path, listed):
        for whole in (path, *path.parents):
            parts = whole.parts
            ends |= {"/".join(parts[start:]) for start in range(len(parts))}
    return ends


def test_every_path_that_is_named_is_there() -> None:
    there = ends_of_paths() | OF_READERS
    lost = {
        f"{place}: {sign}"
        for place in places()
        for text in words(place)
        for sign in (*PATH.findall(text), *FOLDER.findall(text))
        if sign.rstrip("/") not in there
    }
    assert lost == set()


def test_every_decision_that_is_named_was_made() -> None:
    made = {int(path.name[:4]) for path in (ROOT / "docs/design/decisions").glob("[0-9]*.md")}
    lost = {
        f"{place}: {number}"
        for place in places()
        for text in words(place)
        for number in map(int, filter(None, sum(DECISION.findall(text), ())))
        if number not in made
    }
    assert lost == set()


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("see `port.py` and `engine/contract/jobs.py`", ["port.py", "engine/contract/jobs.py"]),
        ("`lua/lib/add_job.lua`, `claim_find.sql`", ["lua/lib/add_job.lua", "claim_find.sql"]),
        ("a_b.py, `*.lua`, <name>.py, *_b.sql, a.pyc", ["a_b.py"]),
    ],
)
def test_paths_are_seen_in_a_text(text: str, signs: list[str]) -> None:
    assert PATH.findall(text) == signs
