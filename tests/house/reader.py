"""Plays a page of the documentation as its reader would: with a terminal for each thing.

A block with `title="shop.py"` is written into a folder; a second one of that title is added to the
file's end. The lines of `sh` blocks are typed: `toril worker …` into a terminal of its own, where
it replaces the worker before; `python` and `python -m asyncio` begin a new prompt, into which all
other `python` blocks go as they stand; any other `toril` command, and `python FILE`, has to
succeed. A `text` block right after a `python` block is what that prints.

What has a name that nobody knows beforehand (`…`), and how to install, is not played.

A page without a line that starts a worker is taken as one file, `page.py`, of which a worker runs:
each block is split where it begins to do something, and that part goes into a prompt.

Play one by hand: `python -m tests.house.reader docs/start/index.md`, from the root of the
repository.
"""

from __future__ import annotations

import ast
import os
import re
import selectors
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.house.pages import Block, blocks
from tests.support.waiting import wait_until_sync

DEADLINE_S = 90.0
"""How long a block or a command may take."""
_DONE = "\x01done"
_PROMPTS = re.compile(r"(?:>>> |\.\.\. )")
_PAGE_ANEW = "import importlib, page; importlib.reload(page); from page import *"
_SHOW_NO_VALUES = "import sys; sys.displayhook = lambda value: None"
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_PLAYED = ("toril", "python")


class Prompt:
    """A Python prompt, into which a reader copies blocks."""

    def __init__(self, words: list[str], folder: Path, environment: dict[str, str]) -> None:
        arguments = words if "-m" in words else [*words, "-i", "-q"]
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-W", "error", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        self.type("")  # what it says at first

    def type(self, text: str) -> str:
        """Type a block and return what it prints.

        Raises:
            AssertionError: It raises, or takes too long.
        """
        assert self._process.stdin is not None
        # Enter once more: a statement with a block below it ends with an empty line.
        self._process.stdin.write(f"{text}\n\nprint({_DONE!r})\n".encode())
        said = _PROMPTS.sub("", self._read_until(f"{_DONE}\n".encode()))
        assert "Traceback (most recent call last)" not in said, said
        assert not re.search(r"^(Syntax|Indentation)Error", said, re.MULTILINE), said
        return said

    def close(self) -> None:
        """Leave it, as Ctrl-D does."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(DEADLINE_S)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def _read_until(self, mark: bytes) -> str:
        assert self._process.stdout is not None
        until_s = time.monotonic() + DEADLINE_S
        said = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while mark not in said:
                assert selector.select(max(0.0, until_s - time.monotonic())), (
                    f"no answer in {DEADLINE_S:g} s: {said.decode()}"
                )
                piece = os.read(self._process.stdout.fileno(), 65536)
                assert piece, said.decode()
                said += piece
        return said.decode().partition(mark.decode())[0]


class WorkerTerminal:
    """A terminal in which a worker runs."""

    def __init__(self, words: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._log = (folder / f"worker-{time.monotonic_ns()}.log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=folder,
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def said(self) -> str:
        """Return what it has printed."""
        return Path(self._log.name).read_text("utf-8")

    def wait_until_it_works(self) -> None:
        """Wait until it takes jobs. Later it would miss nothing, but a schedule's first moment."""
        wait_until_sync(
            lambda: " started: Toril" in self.said() or self._process.poll() is not None,
            deadline_s=DEADLINE_S,
        )
        assert self._process.poll() is None, self.said()

    def close(self) -> None:
        """Press Ctrl-C, and again should it take long.

        Raises:
            AssertionError: It did not end well.
        """
        try:
            self._process.terminate()
            try:
                code = self._process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self._process.terminate()
                code = self._process.wait(DEADLINE_S)
            assert code == 0, self.said()
        finally:
            self._process.kill()
            self._process.wait()
            self._log.close()


class Reader:
    """Somebody who follows a page."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._page = folder / "page.py"
        self._typed: set[str] = set()
        """Names that were given at the prompt, which the page's file does not know."""
        self._environment = environment
        self._prompt: Prompt | None = None
        self._worker: WorkerTerminal | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        prompt, worker, self._prompt, self._worker = self._prompt, self._worker, None, None
        try:
            if prompt is not None:
                prompt.close()
        finally:
            if worker is not None:
                if error is not None:
                    error.add_note(f"The worker said:\n{worker.said()}")
                worker.close()

    def follow(self, page_blocks: list[Block]) -> None:
        """Do all that the page says, in its order.

        Raises:
            AssertionError: Something does not work, or prints something else.
        """
        starts_worker = any(
            words[:2] == ["toril", "worker"] for block in page_blocks for words in _lines(block)
        )
        for block in page_blocks:
            try:
                if block.language == "sh":
                    for words in _lines(block):
                        self._command(words)
                elif block.language == "python" and block.title is not None:
                    self._write(block.title, block.text)
                elif block.language == "python":
                    self._type(block, starts_worker=starts_worker)
            except AssertionError as error:
                error.add_note(f"It is the block in line {block.line}")
                raise

    def _write(self, title: str, text: str) -> None:
        path = self._folder / title
        path.parent.mkdir(parents=True, exist_ok=True)
        before = f"{path.read_text('utf-8')}\n\n" if path.exists() else ""
        path.write_text(before + text, "utf-8")

    def _split(self, text: str) -> str:
        """Put what a block defines into the page's file, start a worker anew, return the rest."""
        body = ast.parse(text).body
        cut = next(
            (n for n, one in enumerate(body) if not _defines(one) or _names(one) & self._typed),
            len(body),
        )
        self._typed |= {name for one in body[cut:] for name in _names(one, ast.Store)}
        lines = text.splitlines(keepends=True)
        if cut == 0:
            return text
        end = _first_line(body[cut]) - 1 if cut < len(body) else len(lines)
        self._write("page.py", "".join(lines[:end]))
        if self._prompt is not None:
            self._prompt.type(_PAGE_ANEW)
        if re.search(r"^(@app\.task|app\.include)", self._page.read_text("utf-8"), re.MULTILINE):
            self._command(["toril", "worker", "page:app"])
        return "".join(lines[end:])

    def _type(self, block: Block, *, starts_worker: bool) -> None:
        text = block.text if starts_worker else self._split(block.text)
        if not text.strip():
            return
        if self._prompt is None:
            self._start_prompt(["-m", "asyncio"])
            assert self._prompt is not None
            if not starts_worker:
                self._prompt.type(_SHOW_NO_VALUES)
            if self._page.exists():
                self._prompt.type(_PAGE_ANEW)
        printed = self._prompt.type(text if starts_worker else _for_a_prompt(text))
        assert block.prints is None or printed == block.prints, f"prints:\n{printed}"

    def _command(self, words: list[str]) -> None:
        if words[:2] == ["toril", "worker"]:
            if self._worker is not None:
                self._worker.close()
            self._worker = None
            self._worker = WorkerTerminal(words, self._folder, self._environment)
            self._worker.wait_until_it_works()
        elif words == ["python"] or words == ["python", "-m", "asyncio"]:
            self._end_prompt()
            self._start_prompt(words[1:])
        elif words[0] in _PLAYED:
            arguments = ["-m", *words] if words[0] == "toril" else words[1:]
            done = subprocess.run(
                [sys.executable, *arguments],
                cwd=self._folder,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=DEADLINE_S,
                check=False,
            )
            assert done.returncode == 0, f"{shlex.join(words)}: {done.stdout}{done.stderr}"

    def _start_prompt(self, words: list[str]) -> None:
        self._prompt = Prompt(words, self._folder, self._environment)

    def _end_prompt(self) -> None:
        prompt, self._prompt = self._prompt, None
        if prompt is not None:
            prompt.close()


def _lines(block: Block) -> list[list[str]]:
    """Return the commands of a shell block, without those that need a name from elsewhere."""
    if block.language != "sh":
        return []
    lines = [shlex.split(line, comments=True) for line in block.text.splitlines()]
    return [words for words in lines if words and not any("…" in word for word in words)]


def _defines(statement: ast.stmt) -> bool:
    """Whether a statement only says what there is: it waits for nothing, and calls no store."""
    if any(isinstance(node, ast.Await | ast.AsyncWith | ast.AsyncFor) for node in _here(statement)):
        return False
    if isinstance(statement, ast.Expr):
        call = ast.unparse(statement)
        return call.startswith(("app.bind(", "app.include(", "app.provide(", '"'))
    return isinstance(statement, (*_NAMED, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign))


def _names(statement: ast.stmt, used: type[ast.expr_context] = ast.Load) -> set[str]:
    """Return the names that a statement reads, or those that it gives."""
    if used is ast.Store and isinstance(statement, _NAMED):
        return {statement.name}
    return {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, used)
    }


def _here(statement: ast.stmt) -> list[ast.AST]:
    """Return the parts of a statement that run with it, not later."""
    if isinstance(statement, _NAMED):
        return []
    return list(ast.walk(statement))


def _first_line(statement: ast.stmt) -> int:
    decorators = statement.decorator_list if isinstance(statement, _NAMED) else []
    return min([statement.lineno, *(each.lineno for each in decorators)])


def _for_a_prompt(text: str) -> str:
    """Return code as an old prompt takes it: empty lines after blocks, and none within."""
    lines = text.splitlines()
    parts = []
    for statement in ast.parse(text).body:
        part = lines[_first_line(statement) - 1 : statement.end_lineno]
        parts.append("\n".join(line for line in part if line.strip()))
        if isinstance(statement, ast.stmt) and hasattr(statement, "body"):
            parts.append("")
    return "\n".join(parts)


def read(path: Path, environment: dict[str, str]) -> None:
    """Follow a page in an empty folder."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Reader(Path(folder), environment) as reader,
    ):
        reader.follow(blocks(path.read_text("utf-8")))


if __name__ == "__main__":
    bin_folder = str(Path(sys.executable).parent)
    ours = os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    read(Path(sys.argv[1]).absolute(), ours)
