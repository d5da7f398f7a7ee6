"""`toril worker --reload`: restarts the worker when a file changes. For development.

An app that cannot be loaded, or a worker that crashed, is started again after the next change.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from toril.cli.children import Child, death_words, start_child
from toril.cli.codes import DONE
from toril.cli.signals import handle_on_loop, ignore_handled
from toril.core.loggers import logger

if TYPE_CHECKING:
    from toril.cli.worker_arguments import WorkerArguments

log = logger("toril.cli")

RELOAD_SHUTDOWN_S = 5.0
"""How long a change lets running jobs go on, unless `--shutdown` says it."""
MARGIN_S = 12.0
"""How long the old worker may take after its deadline, before it is killed."""
QUIET_MS = 200
"""An editor that writes several files is one change if it pauses for less."""
LOOK_MS = 50


def keep_reloading(arguments: WorkerArguments) -> int:
    """Run the worker until told to stop, anew after each change.

    Raises:
        MissingExtraError: watchfiles is not installed.
    """
    try:
        import watchfiles  # noqa: F401 - asked for while its lack can still be told
    except ImportError:
        from toril.core.extras import missing_extra

        raise missing_extra("--reload needs watchfiles", "reload") from None
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # we say which files changed
    if arguments.shutdown_s is None:
        arguments = replace(arguments, shutdown_s=RELOAD_SHUTDOWN_S)
    try:
        return asyncio.run(Reloader(arguments, Path.cwd()).run())
    finally:
        ignore_handled()


class Reloader:
    """Keeps one worker process, and a new one after each change."""

    def __init__(self, arguments: WorkerArguments, folder: Path) -> None:
        self._words = arguments.words()
        self._url = arguments.url
        self._shutdown_s = arguments.shutdown_s or 0.0
        self._folder = folder
        self._stopping = asyncio.Event()
        self._child: Child | None = None
        self._ending: asyncio.Task[None] | None = None
        self._dismissed = False

    async def run(self) -> int:
        """Watch until told to stop."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                handle_on_loop(number, self._stop)
        handle_on_loop(signal.SIGUSR1, partial(self._tell, signal.SIGUSR1))
        changes = self._changes()
        watching = asyncio.ensure_future(anext(changes))
        await self._start()
        log.info("restarts when a .py file in %s changes", self._folder)
        while not self._stopping.is_set():
            try:
                changed = await watching
            except StopAsyncIteration:
                break
            log.info("%s changed", ", ".join(changed))
            await self._end()
            if not self._stopping.is_set():
                await self._start()
            watching = asyncio.ensure_future(anext(changes))
        watching.cancel()
        await self._end()
        return DONE

    async def _changes(self) -> AsyncIterator[list[str]]:
        """Yield the names of the files of each change."""
        from watchfiles import PythonFilter, awatch

        async for changes in awatch(
            self._folder,
            watch_filter=PythonFilter(),
            stop_event=self._stopping,
            debounce=QUIET_MS,
            step=LOOK_MS,
        ):
            yield sorted({path.removeprefix(f"{self._folder}/") for _, path in changes})

    async def _start(self) -> None:
        self._child = await start_child(self._words, url=self._url)
        self._dismissed = False
        self._ending = asyncio.create_task(self._await_end(self._child))

    async def _await_end(self, child: Child) -> None:
        code = await child.wait()
        if not self._dismissed and not self._stopping.is_set():
            log.warning("the worker %s; waiting for a change", death_words(code))

    async def _end(self) -> None:
        """End the worker: by its own means, else by force."""
        child, ending = self._child, self._ending
        if child is None or ending is None:
            return
        self._dismissed = True
        if not self._stopping.is_set():  # then it was told
            self._tell(signal.SIGTERM)
        _, late = await asyncio.wait([ending], timeout=self._shutdown_s + MARGIN_S)
        if late:
            log.error("the worker does not end and is killed")
            child.kill()
            await ending

    def _stop(self) -> None:
        self._stopping.set()
        self._tell(signal.SIGTERM)

    def _tell(self, number: signal.Signals) -> None:
        if self._child is not None and self._ending is not None and not self._ending.done():
            self._child.tell(number)
