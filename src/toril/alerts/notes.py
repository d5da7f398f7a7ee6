"""Notes what this process sees itself, for whichever process watches: dead letters, blocked loops.

A minute of one queue and rule is one row in the store, written at most about once a second.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import Callable

from toril.alerts.look import told_letter
from toril.alerts.records import NoteRecord, row
from toril.core.errors import BackendError
from toril.core.loggers import logger
from toril.engine.contract import Backend
from toril.engine.hooks import HookEvent, Hooks

WRITE_S = 1.0
"""After something was seen, so that what comes together is written together."""
MOST = 500
"""Rows of a minute; what is beyond is not noted."""
MINUTE_MS = 60_000
OUTSIDE = "something outside a task"
_LABEL = re.compile(r"(?P<task>.*) \(job .* of (?P<queue>.*)\)", re.DOTALL)

log = logger("toril.alerts")


class Notes:
    """The notes of one process."""

    def __init__(
        self, backend: Callable[[], Backend], *, clean: Callable[[str], str] = lambda text: text
    ) -> None:
        """Make it.

        Parameters:
            backend: Returns the store.
            clean: Makes the reason of a failure fit to be told.
        """
        self._backend = backend
        self._clean = clean
        self._source = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._unwritten: dict[str, NoteRecord] = {}
        self._known: dict[str, NoteRecord] = {}
        """Of the present minute and the one before: a row holds its whole minute."""
        self._is_due = False

    def listen(self, hooks: Hooks) -> None:
        """Note what hooks tell."""
        hooks.on("dead", self._dead)
        hooks.on("blocked", self._blocked)

    async def write(self) -> None:
        """Write what is not written yet.

        Raises:
            BackendError: The store did not take it. It is kept for the next time.
        """
        unwritten, self._unwritten = self._unwritten, {}
        if not unwritten:
            return
        try:
            await self._backend().alerts.change(
                [row("note", key, one) for key, one in unwritten.items()]
            )
        except BaseException:
            self._unwritten = {**unwritten, **self._unwritten}
            raise

    async def _dead(self, event: HookEvent) -> None:
        text = told_letter(event.task or "", event.job_id or "", event.reason, self._clean)
        await self._note("dead_letter", event.queue or "", 1.0, text)

    async def _blocked(self, event: HookEvent) -> None:
        label = _LABEL.fullmatch(event.reason or "")
        # Outside a task nobody knows which queue it is about.
        queue, task = ("", OUTSIDE) if label is None else (label["queue"], label["task"])
        await self._note("blocked_loop", queue, event.duration_s or 0.0, task)

    async def _note(self, rule: str, queue: str, value: float, text: str) -> None:
        now_ms = self._backend().clock.now_ms()
        minute = now_ms // MINUTE_MS
        key = f"{rule}:{queue}:{self._source}:{minute}"
        before = self._known.get(key)
        if before is None:
            old = [one for one, note in self._known.items()
                   if note.latest_ms // MINUTE_MS < minute - 1]  # fmt: skip
            for one in old:
                del self._known[one]
            if len(self._known) >= MOST:
                return
        self._known[key] = self._unwritten[key] = NoteRecord(
            rule=rule,
            queue=queue,
            count=1 if before is None else before.count + 1,
            value=value if before is None else max(value, before.value),
            latest_ms=now_ms,
            text=text if before is None or rule == "dead_letter" or value >= before.value
            else before.text,
        )  # fmt: skip
        if self._is_due:
            return
        self._is_due = True
        try:
            await asyncio.sleep(WRITE_S)
        finally:
            self._is_due = False
            try:
                await self.write()
            except BackendError as error:
                log.debug("what was seen is noted later: %s", error)
