"""Carries what running tasks say to the store: in order, together, and before their outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from toril.core.errors import BackendError
from toril.core.loggers import logger
from toril.engine.contract.dispatch import Dispatch, Speech

log = logger("toril.worker")


class Speaker:
    """What the tasks of one worker say."""

    def __init__(self, dispatch: Dispatch, *, lost: Callable[[Speech], None]) -> None:
        """Make a speaker.

        Parameters:
            lost: Takes what was said by an attempt that does not hold its job any more.
        """
        self._dispatch = dispatch
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._said: list[Speech] = []
        self._sending: set[asyncio.Task[None]] = set()

    def say(self, speech: Speech) -> None:
        """Send a speech with the others of this turn of the loop."""
        if not self._said:
            self._loop.call_soon(self.flush)
        self._said.append(speech)

    def flush(self) -> None:
        """Send what was said so far, before whatever is sent after this call."""
        if self._said:
            said, self._said = self._said, []
            task = self._loop.create_task(self._send(said))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def settle(self) -> None:
        """Wait until everything said has been sent."""
        self.flush()
        while self._sending:
            await asyncio.wait(self._sending)

    async def _send(self, said: list[Speech]) -> None:
        try:
            words = await self._dispatch.speak(said)
        except BackendError as error:
            log.warning("%d progress reports and log lines were lost: %s", len(said), error)
            return
        for speech, word in zip(said, words, strict=True):
            if word == "lease_lost":
                self._lost(speech)
