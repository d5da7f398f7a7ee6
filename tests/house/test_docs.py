"""The documentation builds, its code runs, and the commands that it names are there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tests.house.pages import blocks, check_fragment
from tests.house.reader import read

from toril.cli.main import toril

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUNNABLE = [path for path in PAGES if path != README and "```python" in path.read_text("utf-8")]
DEADLINE_S = 280
IN_ONE_PROCESS = {
    "docs/learn/at-least-once.md": "shows what the task's process remembers",
    "docs/learn/durability.md": "has a store in memory",
    "docs/learn/events.md": "shows what hooks print, which is in the worker's terminal",
    "docs/learn/middleware.md": "shows what middleware prints, which is in the worker's terminal",
    "docs/learn/testing.md": "its tests have a store in memory",
    "docs/learn/workers.md": "starts the workers of its programs itself",
}
"""Pages that need their worker in the same process, and why."""
ALSO_FOLLOWED = {"docs/index.md", "docs/operate/search.md"}
FOLLOWED = [
    path
    for path in RUNNABLE
    if (path.parent.name in ("start", "learn") or name_of(path) in ALSO_FOLLOWED)
    and str(path.relative_to(ROOT)) not in IN_ONE_PROCESS
]

_SPAN = re.compile(r"`([^`\n]+)`")


def environment() -> dict[str, str]:
    """Return an environment without anybody's settings."""
    ours = ("TORIL_", "MEDIA_", "WORKER_TYPE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    bin_folder = str(Path(sys.executable).parent)
    return kept | {"PYTHONUTF8": "1", "PATH": f"{bin_folder}{os.pathsep}{kept.get('PATH', '')}"}


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def code_lines(path: Path) -> Iterator[str]:
    """Yield what stands as code on a page: spans and lines of shell blocks."""
    text = path.read_text("utf-8")
    shell = [block for block in blocks(text) if block.language in ("sh", "ini", "dockerfile")]
    for block in shell:
        yield from block.text.splitlines()
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from _SPAN.findall(prose)


def test_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    built = run(
        sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet",
        "--site-dir", str(tmp_path / "site"),
        cwd=ROOT,
    )  # fmt: skip

    assert built.returncode == 0, built.stdout + built.stderr
    page = (tmp_path / "site" / "index.html").read_text("utf-8")
    # What a browser loads, as opposed to what a reader may follow.
    loaded = re.findall(r"<(?:script|img|link)[^>]+(?:src|href)=\"?(https?://[^\" >]+)", page)
    assert [address for address in loaded if "canonical" not in address] == []
    for made in (tmp_path / "site").rglob("*.html"):
        assert "<!-- made:" not in made.read_text("utf-8")


@pytest.mark.parametrize("path", RUNNABLE, ids=name_of)
def test_code_of_the_page_runs(path: Path) -> None:
    ran = run(sys.executable, "-W", "error", "-m", "tests.house.pages", str(path), cwd=ROOT)

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="its asyncio prompt reads a pipe line by line"
)
@pytest.mark.parametrize("path", FOLLOWED, ids=name_of)
def test_page_works_with_a_worker_of_its_own(path: Path) -> None:
    """`docs/start` added a task to a program whose worker, as the reader had it, knew it not."""
    read(path, environment())


def test_pages_in_one_process_are_there() -> None:
    assert {name_of(path) for path in RUNNABLE} >= IN_ONE_PROCESS.keys()


def test_every_extra_is_on_the_first_page() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    page = (ROOT / "docs" / "start" / "index.md").read_text("utf-8")

    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == [*project["optional-dependencies"]]


def test_readme_works_as_written(tmp_path: Path) -> None:
    """Two terminals: the worker in the one, the program in the other."""
    program, *others = [
        block for block in blocks(README.read_text("utf-8")) if block.language == "python"
    ]
    assert not others, "mark them `py`: the README has one program"
    assert program.title is not None
    (tmp_path / program.title).write_text(program.text, "utf-8")
    module = Path(program.title).stem
    assert f"toril worker {module}:app" in README.read_text("utf-8")
    assert f"python {program.title}" in README.read_text("utf-8")

    worker = subprocess.Popen(
        [sys.executable, "-m", "toril", "worker", f"{module}:app"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        ran = run(sys.executable, "-W", "error", program.title, cwd=tmp_path)
    finally:
        worker.terminate()
        said, _ = worker.communicate(timeout=DEADLINE_S)

    assert ran.returncode == 0, ran.stdout + ran.stderr + said
    assert ran.stdout == program.prints
    assert worker.returncode == 0, said


def test_every_fragment_is_python() -> None:
    for path in PAGES:
        for block in blocks(path.read_text("utf-8")):
            if block.language == "py":
                check_fragment(block)


def test_every_make_target_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))

    named = {
        (name_of(path), target)
        for path in PAGES
        for line in code_lines(path)
        for target in re.findall(r"\bmake ([a-z-]+)", line)
    }

    assert named
    assert {one for one in named if one[1] not in targets} == set()


def test_every_command_named_exists() -> None:
    named = [
        (name_of(path), line[line.index("toril ") :])
        for path in PAGES
        for line in code_lines(path)
        if re.match(r"^(?:\S*[/=])?toril (?:[a-z]|--)", line.strip().removeprefix("$ "))
    ]

    assert named
    problems = [(page, line, what) for page, line in named if (what := problem(line)) is not None]
    assert problems == []


def problem(line: str) -> str | None:
    """Return what is wrong with a command line: a command or option that is not there."""
    words = line.split("#")[0].split("|")[0].split()[1:]
    command: click.Command = toril
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            return f"no command {words[0]!r}"
        command = found
        words.pop(0)
    known = {name for parameter in command.params for name in parameter.opts}
    known |= {name for parameter in command.params for name in parameter.secondary_opts}
    known |= {"--help", "-h"}
    for word in words:
        option = word.split("=")[0]
        if option.startswith("-") and option not in known:
            return f"{command.name} has no option {option!r}"
    return None


def test_every_decision_is_listed_in_order() -> None:
    """Decisions that were made side by side were left out of the navigation, or out of order."""
    names = sorted(path.name for path in (ROOT / "docs/design/decisions").glob("[0-9]*.md"))

    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    index = (ROOT / "docs/design/decisions/index.md").read_text("utf-8")

    assert re.findall(r"decisions/(\d{4}-.+\.md)", navigation) == names
    assert re.findall(r"\]\((\d{4}-.+\.md)\)", index) == names


def test_pages_can_be_told_apart() -> None:
    """A page has one title, and every block that is opened is closed."""
    for path in PAGES:
        text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1, name_of(path)
        assert "\n```" not in text, f"{name_of(path)}: a block that is not closed"
