"""Signals of `toril worker`: stop, stop now, exit at once, take no more jobs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from toril.cli.codes import DONE, ERROR
from toril.cli.lifecycle import say_quiet, say_stopping
from toril.cli.signals import handle

if TYPE_CHECKING:
    from toril.engine.worker import Worker


class WorkerSignals:
    """What a worker's signals mean. A third one always gets through, also to a blocked loop."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._stops = 0
        self.done = False
        """The worker has left, and holds nothing any more."""

    def install(self) -> None:
        """Take SIGTERM, SIGINT, SIGUSR1, SIGCONT, and SIGHUP unless it is ignored (nohup)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            handle(number, partial(self._stop, number))
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            handle(signal.SIGHUP, partial(self._stop, signal.SIGHUP))
        handle(signal.SIGUSR1, partial(self._soon, self._quiet_worker))
        handle(signal.SIGCONT, self._worker.wake)

    def _stop(self, number: signal.Signals) -> None:
        self._stops += 1
        if self._stops > 2:
            # Whatever runs is taken back by the next worker, once this one is silent.
            os._exit(DONE if self.done else ERROR)
        self._soon(self._stop_worker, number.name, self._stops > 1)

    def _stop_worker(self, name: str, now: bool) -> None:
        say_stopping(self._worker, name, now=now)
        self._worker.stop()

    def _quiet_worker(self) -> None:
        self._worker.quiet()
        say_quiet(self._worker)

    def _soon(self, call: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)
