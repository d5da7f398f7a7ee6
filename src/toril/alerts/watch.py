"""The loop that watches a store. One process at a time looks; any of them takes over.

What a look decides is stored together with the messages that follow from it, and only if this
process holds the watch still. So each alert is told once, however many processes there are, and a
message of a process that was killed is sent by the next one. If it was killed in the moment of
sending, a message can come twice: both have the same id.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import Callable, Iterable

from toril.alerts.look import Look
from toril.alerts.message import AlertMessage
from toril.alerts.notes import Notes
from toril.alerts.options import AlertOptions
from toril.alerts.post import Post
from toril.alerts.records import (
    SIZES,
    AlertRecord,
    MuteRecord,
    NoteRecord,
    SizesRecord,
    UnsentRecord,
    read_rows,
    row,
)
from toril.alerts.turn import Turn, turn
from toril.core.errors import BackendError
from toril.core.loggers import logger
from toril.core.redact import without_password
from toril.engine.contract import Backend
from toril.engine.contract.alerts import AlertRow

TICK_S = 5.0
"""Between two questions who holds the watch."""
LEASE_MS = 20_000
"""A process that is silent for so long does not watch any more."""
NOTES_KEPT_MS = 86_400_000
FAREWELL_S = 3.0
"""How long a process that stops goes on with what it is sending."""

log = logger("toril.alerts")


class Watch:
    """One process's part in watching a store."""

    def __init__(
        self,
        backend: Callable[[], Backend],
        options: AlertOptions,
        *,
        notes: Notes,
        letter_queues: Callable[[], Iterable[str]] = lambda: (),
        clean: Callable[[str], str] = lambda text: text,
        post: Callable[[Backend], Post] | None = None,
    ) -> None:
        """Make it.

        Parameters:
            backend: Returns the store.
            options: The app's.
            notes: What this process has seen itself.
            letter_queues: As for `Look`.
            clean: As for `Look`.
            post: Makes what sends. Default: as the options say.
        """
        self._backend = backend
        self._options = options
        self._notes = notes
        self._letter_queues = letter_queues
        self._clean = clean
        self._make_post = post or (
            lambda store: Post(lambda: store.alerts, store.clock, options.channels)
        )
        self._look: Look | None = None
        self._post: Post | None = None
        self._holder = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._next_ms = 0
        self.holds = False
        """Whether this process watches now."""

    async def run(self) -> None:
        """Watch until cancelled. Nothing that goes wrong ends it."""
        try:
            while True:
                try:
                    await self.tick()
                except BackendError as error:
                    log.warning("watching for alerts failed, trying again: %s", error)
                except Exception:  # a fault of ours, or of a channel: the jobs go on
                    log.exception("watching for alerts failed, trying again")
                # Spread, so that processes that started together do not ask together.
                draw = random.uniform(0.75, 1.25)  # noqa: S311 - spread only
                await asyncio.sleep(min(TICK_S, self._options.every_s) * draw)
        finally:
            await self.leave()

    async def tick(self) -> Turn | None:
        """Take the watch if it is free, and look if it is time; send what waits.

        Returns:
            What a look has decided. None: there was none.
        """
        backend = self._backend()
        await self._notes.write()
        held = await backend.alerts.hold(self._holder, lease_ms=LEASE_MS)
        if held and not self.holds:
            log.debug("this process watches for alerts now")
        self.holds = held
        if not held:
            if self._post is not None:
                self._post.pause()
            return None
        made = None
        now_ms = backend.clock.now_ms()
        if not 0 < self._next_ms - now_ms <= self._options.every_s * 1000:
            made = await self.look(backend, now_ms)
        unsent = read_rows(await backend.alerts.rows(["message"]), "message", UnsentRecord)
        if self._post is None:
            self._post = self._make_post(backend)
        await self._post.look(unsent)
        return made

    async def leave(self) -> None:
        """Let another process watch. Never raises."""
        try:
            if self._post is not None:
                await self._post.settle(FAREWELL_S if self.holds else 0.0)
            await self._notes.write()
            if self.holds:
                self.holds = False
                await self._backend().alerts.release(self._holder)
        except BackendError as error:
            log.debug("the watch for alerts ends by itself: %s", error)

    async def look(self, backend: Backend, now_ms: int) -> Turn | None:
        """Look at the store and write what follows. None: the watch was lost meanwhile."""
        if self._look is None:
            self._look = Look(
                backend, self._options, letter_queues=self._letter_queues, clean=self._clean
            )
        self._next_ms = now_ms + round(self._options.every_s * 1000)
        rows = await backend.alerts.rows(["alert", "mute", "note", "sample"])
        known = read_rows(rows, "alert", AlertRecord)
        mutes = read_rows(rows, "mute", MuteRecord)
        notes = read_rows(rows, "note", NoteRecord)
        sizes = read_rows(rows, "sample", SizesRecord).get(SIZES, SizesRecord(at_ms=0))
        looked = await self._look.look(list(notes.values()), sizes, now_ms=now_ms)
        made = turn(
            known,
            looked.findings,
            mutes.values(),
            self._options,
            source=self._options.source or without_password(backend.url),
            now_ms=now_ms,
        )
        put = [row("alert", key, one) for key, one in made.changed.items() if known.get(key) != one]
        put += [row("message", key, one) for key, one in self._unsent(made.messages, now_ms)]
        if looked.sizes is not None:
            put.append(row("sample", SIZES, looked.sizes))
        drop = [AlertRow("alert", key) for key in made.gone]
        drop += [
            AlertRow("note", key)
            for key, one in notes.items()
            if one.latest_ms < now_ms - NOTES_KEPT_MS
        ]
        drop += [AlertRow("mute", key) for key, one in mutes.items() if one.until_ms <= now_ms]
        if (put or drop) and not await backend.alerts.change(put, drop, holder=self._holder):
            self.holds = False
            return None
        for message in made.messages:
            log.warning("alert %s: %s", message.state, message.text)
        return made

    def _unsent(
        self, messages: Iterable[AlertMessage], now_ms: int
    ) -> list[tuple[str, UnsentRecord]]:
        return [
            (
                f"{now_ms:015d}-{at:03d}-{channel.name}",
                UnsentRecord(channel=channel.name, message=message, made_ms=now_ms),
            )
            for at, message in enumerate(messages)
            for channel in self._options.channels
        ]
