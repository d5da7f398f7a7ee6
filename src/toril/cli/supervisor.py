"""`toril worker --processes N`: keeps N worker processes alive.

A process that dies is restarted, with growing delays if it dies again. The supervisor tells the
store of the death, so that its jobs are recovered at once. Signals are passed on. The supervisor
loads no app: its children announce their store and worker id.
"""

from __future__ import annotations

import asyncio
import random
import signal
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from toril.app import App
from toril.cli.children import Child, death_words, start_child
from toril.cli.codes import DONE, ERROR, USAGE
from toril.cli.output import plural
from toril.cli.signals import handle_on_loop, ignore_handled
from toril.core.durations import in_words
from toril.core.errors import TorilError
from toril.core.loggers import FACTS, logger
from toril.engine.backoff import delay_s
from toril.engine.operations import acting
from toril.engine.options import RetryPolicy

if TYPE_CHECKING:
    from toril.cli.worker_arguments import WorkerArguments

log = logger("toril.cli")

RESTARTS = RetryPolicy(base_s=0.5, cap_s=30.0, jitter_ratio=0.2)
"""Waits between a death and the next start, doubling."""
RAN_WELL_S = 30.0
"""One that ran for so long begins again with the shortest wait."""
MARGIN_S = 12.0
"""How long a child may take to give its jobs back after its deadline, before it is killed."""


def supervise(arguments: WorkerArguments, processes: int) -> int:
    """Run worker processes until told to stop; return 0 if all ended well."""
    try:
        return asyncio.run(Supervisor(arguments, processes).run())
    finally:
        ignore_handled()


class Supervisor:
    """Keeps a number of worker processes alive."""

    def __init__(self, arguments: WorkerArguments, processes: int) -> None:
        self._words = arguments.words()
        self._url = arguments.url
        self._max_stalled = arguments.max_stalled
        self._processes = processes
        self._children: dict[int, Child] = {}
        self._stopping = asyncio.Event()
        self._quiet = False
        self._ended_badly = False

    async def run(self) -> int:
        """Start all, keep them alive until a signal, and see them out."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                handle_on_loop(number, partial(self._stop, number))
        handle_on_loop(signal.SIGUSR1, self._be_quiet)
        # The first alone: if the app cannot be loaded, it says so, and it says so once.
        first = await self._start(1)
        if not await first.ready() and not self._stopping.is_set():
            code = await first.wait()
            log.error("the first worker process %s; none is started", death_words(code))
            return code if code > 0 else ERROR
        if first.said is not None and not await _is_shared(first.said.url):
            first.kill()
            await first.wait()
            log.error("%s: processes cannot share it; give --url a file", first.said.url)
            return USAGE
        slots = [asyncio.create_task(self._keep(1, first))]
        slots += [asyncio.create_task(self._keep(n)) for n in range(2, self._processes + 1)]
        await self._stopping.wait()
        await self._see_out(slots)
        log.info("all worker processes have ended")
        return ERROR if self._ended_badly else DONE

    async def _keep(self, slot: int, child: Child | None = None) -> None:
        """Keep one process alive until all are to stop."""
        deaths = 0
        while True:
            if child is None:
                if self._stopping.is_set() or self._quiet:
                    return
                child = await self._start(slot)
            code = await child.wait()
            del self._children[slot]
            well = child.ended_well(code)
            if not well:
                log.warning("worker process %d %s", child.pid, death_words(code))
                await self._give_back(child, death_words(code))
            if self._stopping.is_set() or self._quiet:
                # One that was still starting knows no signals yet, and has nothing to lose.
                self._ended_badly |= child.at_work and not well
                return
            deaths = 1 if child.age_s >= RAN_WELL_S else deaths + 1
            wait_s = delay_s(deaths, RESTARTS, draw=random.random())  # noqa: S311 - spread only
            log.info(
                "starting another worker process in %s",
                in_words(wait_s),
                extra={FACTS: {"event": "restarting", "child": child.pid, "code": code}},
            )
            child = None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s)

    async def _start(self, slot: int) -> Child:
        child = self._children[slot] = await start_child(self._words, url=self._url)
        log.info(
            "worker process %d started (%d of %d)",
            child.pid,
            slot,
            self._processes,
            extra={FACTS: {"event": "child_started", "child": child.pid}},
        )
        if self._stopping.is_set():  # while it was being started
            child.tell(signal.SIGTERM)
        return child

    async def _give_back(self, child: Child, why: str) -> None:
        """Give back the jobs of one that died."""
        if child.said is None:  # before it had any
            return
        if child.said.url is None:
            log.warning("the jobs of worker process %d come back once it is missed", child.pid)
            return
        try:
            reason = f"worker process {child.pid} {why}"
            async with App(child.said.url).existing() as app:
                with acting("cli:supervisor", reason):
                    jobs = await app.declare_dead(
                        child.said.worker_id, max_stalled=self._max_stalled
                    )
        except TorilError as error:
            # Its silence tells the others, in a while.
            log.warning("the jobs of worker process %d come back later: %s", child.pid, error)
        else:
            log.info("gave back %s of worker process %d", plural(jobs, "job"), child.pid)

    async def _see_out(self, slots: list[asyncio.Task[None]]) -> None:
        """Wait for all; kill those that do not end."""
        said = [child.said.shutdown_s for child in self._children.values() if child.said]
        _, late = await asyncio.wait(slots, timeout=max(said, default=0.0) + MARGIN_S)
        if late:
            for child in self._children.values():
                log.error("worker process %d does not end and is killed", child.pid)
                child.kill()
            await asyncio.wait(late)

    def _stop(self, number: signal.Signals) -> None:
        again = " again" if self._stopping.is_set() else ""
        log.info("%s%s: passed on to %d processes", number.name, again, len(self._children))
        self._stopping.set()
        self._pass_on(signal.SIGTERM)

    def _be_quiet(self) -> None:
        self._quiet = True
        self._pass_on(signal.SIGUSR1)

    def _pass_on(self, number: signal.Signals) -> None:
        for child in self._children.values():
            child.tell(number)


async def _is_shared(url: str | None) -> bool:
    """Whether several processes may use the store."""
    if url is None:  # a client of a server
        return True
    async with App(url) as app:
        return "shared_processes" in app.backend().capabilities
