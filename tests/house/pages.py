"""Runs the code of a page of the documentation, as its reader would: from top to bottom.

A page is one program. Its `python` blocks run in order, in one module, in an empty folder, with a
worker beside them for every app that they made; `await` may stand anywhere. A block with
`title="mail.py"` is a file of that name, and is imported; a second one of that title is added to
the file's end. A `text` block right after a `python` block is what that prints. A `py` block is a
part of something: it only has to be Python. On a page with the comment `<!-- no worker -->` there
is none.

`reader.py` plays a page with a worker in a process of its own.

Run one by hand: `python -m tests.house.pages docs/learn/tasks.md`, from the root of the repository.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib
import inspect
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from toril import App, Worker

_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DEADLINE_S = 90.0
"""How long one block may take."""

_TITLE = re.compile(r'title="([^"]+)"')


class Block(NamedTuple):
    """A block of code of a page."""

    language: str
    title: str | None
    text: str
    line: int
    """Where it begins in its page, from 1."""
    prints: str | None
    """What the page says it prints."""


def blocks(text: str) -> list[Block]:
    """Return the blocks of a page, in order."""
    found = list(_FENCE.finditer(text))
    result = []
    for index, fence in enumerate(found):
        after = found[index + 1] if index + 1 < len(found) else None
        follows = after is not None and not text[fence.end() : after.start()].strip()
        prints = after[3] if after is not None and follows and after[1] == "text" else None
        title = _TITLE.search(fence[2])
        line = text.count("\n", 0, fence.start()) + 2
        result.append(Block(fence[1], title and title[1], fence[3], line, prints))
    return result


def check_fragment(block: Block) -> None:
    """Refuse a `py` block that is not Python; `await` may stand anywhere.

    Raises:
        SyntaxError: It is not.
    """
    compile(block.text, "fragment", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


class Program:
    """A page as it runs."""

    def __init__(self, page: str, *, has_worker: bool) -> None:
        self._page = page
        self._has_worker = has_worker
        self._names: dict[str, Any] = {"__name__": "page", "__builtins__": __builtins__}
        self._modules: list[ModuleType] = []
        self._workers: dict[App, tuple[Worker, asyncio.Task[None]]] = {}

    async def run(self, page_blocks: list[Block]) -> None:
        """Run the blocks; whatever one raises, or prints wrongly, ends it."""
        try:
            for block in page_blocks:
                if block.language == "py":
                    check_fragment(block)
                elif block.language == "python":
                    await self._run_block(block)
        finally:
            await self._stop_workers()
            for app in self._apps():
                await app.close()

    async def _run_block(self, block: Block) -> None:
        where = f"{self._page}:{block.line}"
        if block.title is not None:
            self._write(Path(block.title), block.text)
            return
        await self._start_workers()
        lines = "\n" * (block.line - 1) + block.text  # so that a traceback names the page's line
        code = compile(
            lines, self._page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
        )
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            # In a thread, as plain code has no event loop; what awaits comes back at once.
            awaitable = await asyncio.to_thread(eval, code, self._names)
            if inspect.isawaitable(awaitable):
                await asyncio.wait_for(awaitable, DEADLINE_S)
        if block.prints is not None and printed.getvalue() != block.prints:
            raise AssertionError(f"{where} prints:\n{printed.getvalue()}")

    def _write(self, path: Path, text: str) -> None:
        if path.exists():
            with path.open("a", encoding="utf-8") as file:
                file.write(f"\n\n{text}")
            exec(text, vars(sys.modules[path.stem]))
            return
        path.write_text(text, "utf-8")
        importlib.invalidate_caches()
        self._modules.append(importlib.import_module(path.stem))

    def _apps(self) -> Iterator[App]:
        seen: set[int] = set()
        for names in (self._names, *(vars(module) for module in self._modules)):
            for value in list(names.values()):
                if isinstance(value, App) and id(value) not in seen:
                    seen.add(id(value))
                    yield value

    async def _start_workers(self) -> None:
        """Let workers run that know all tasks so far: a block may await what one before defined."""
        await self._stop_workers()
        for app in self._apps():
            if self._has_worker and app.tasks():
                worker = app.worker(lease=1.0)  # cancellations are seen within a third of it
                self._workers[app] = worker, asyncio.create_task(worker.run())
                await worker.ready()

    async def _stop_workers(self) -> None:
        while self._workers:
            _, (worker, running) = self._workers.popitem()
            worker.stop(deadline_s=0)
            await running


def run_page(path: Path) -> None:
    """Run a page in an empty folder."""
    text = path.read_text("utf-8")
    program = Program(str(path), has_worker="<!-- no worker -->" not in text)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.path.insert(0, folder)
        asyncio.run(program.run(blocks(text)))
        os.chdir("/")


if __name__ == "__main__":
    run_page(Path(sys.argv[1]).absolute())
