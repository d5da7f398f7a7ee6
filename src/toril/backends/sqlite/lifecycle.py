"""The store as a whole: check it, repair it, close it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw

from toril.backends.findings import leases, unserved
from toril.backends.sqlite.boots import boot_of
from toril.backends.sqlite.calendar import Seen, believe
from toril.backends.sqlite.examining import examine
from toril.backends.sqlite.reader import Reader, View
from toril.backends.sqlite.recovery import take_back_lapsed
from toril.backends.sqlite.writer import Writer
from toril.core.clock import Clock
from toril.core.durations import in_words
from toril.engine.contract.lifecycle import PLAN_AT_MOST, Finding, Health, Repair
from toril.engine.letters import is_letter

LOW_ROOM_BYTES = 1 << 30
"""Room on the disk below which there is a warning: 1 GiB."""

WAL_RESET_FIXED = (3, 51, 3)
"""Before this version two writers could damage a file at a checkpoint (sqlite.org, 2026-03)."""

MISDATED_MS = 60_000
"""How far ahead of this calendar another one may have been when it put a job off."""

REPAIR_CHUNK = 500
"""Jobs in one transaction of a repair."""


class SqliteLifecycle:
    """The role `Lifecycle`.

    A job and its state are one row here, so that one cannot be there without the other: a lease
    that has ended is all that there can be to mend.
    """

    def __init__(
        self, path: str, reader: Reader, writer: Writer, clock: Clock, close: Callable[[], None]
    ) -> None:
        self._path = path
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._close = close
        self._name = secrets.token_hex(16)

    async def check(self) -> Health:
        findings = [_library()]
        if self._path != ":memory:":
            findings += await asyncio.to_thread(_room, Path(self._path))
            findings += await asyncio.to_thread(examine, Path(self._path), self._writer.guard)
        contents, lapsed = await self._reader.ask(self._contents)
        return Health(findings + contents, lapsed)

    async def repair(self, repairs: Sequence[Repair], *, max_stalled: int) -> list[Repair]:
        done: list[Repair] = []
        for queue in dict.fromkeys(one.queue for one in repairs if one.act == "take_back"):
            ids = await self._take_back(queue, max_stalled)
            if ids:
                done.append(Repair(queue, "take_back", ids))
        return done

    async def _take_back(self, queue: str, max_stalled: int) -> list[str]:
        ids: list[str] = []
        while True:
            taken = await self._writer.run(
                lambda transaction: take_back_lapsed(
                    transaction, queue, max_stalled=max_stalled, limit=REPAIR_CHUNK
                )
            )
            ids += taken
            if len(taken) < REPAIR_CHUNK:
                return ids

    async def identity(self) -> str:
        if self._path == ":memory:":
            return self._name
        file = await asyncio.to_thread(os.stat, self._path)
        return f"{file.st_dev}:{file.st_ino}"

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _contents(self, view: View) -> tuple[list[Finding], list[Repair]]:
        lapsed = view.run("doctor_lapsed", self._clock.steady_ms())
        findings = [
            _integrity(view),
            leases(len(lapsed)),
            _calendar(view, self._clock),
            *_misdated(view, self._clock),
            *(
                unserved(queue, waiting, json.loads(served))
                for queue_id, queue, waiting, served in view.run("doctor_unserved")
                if not _holds_letters(view, queue_id)
            ),
        ]
        return findings, _take_backs(lapsed)


def _holds_letters(view: View, queue_id: int) -> bool:
    """Whether the next job in line is a letter: nobody is meant to work those."""
    try:
        rows = view.run("doctor_next", queue_id)
    except apsw.CorruptError:  # which is a finding of its own
        return False
    return any(next_id is not None and is_letter(next_id) for (next_id,) in rows)


def _library() -> Finding:
    version = apsw.sqlitelibversion()
    if tuple(int(part) for part in version.split(".")) < WAL_RESET_FIXED:
        text = f"SQLite {version} may damage the file under several writers; upgrade apsw"
        return Finding("sqlite", "error", text)
    return Finding("sqlite", "ok", f"SQLite {version}")


def _room(path: Path) -> list[Finding]:
    size_bytes = sum(
        part.stat().st_size for part in (path, path.with_name(path.name + "-wal")) if part.exists()
    )
    findings = [Finding("file", "ok", f"{path}: {size_bytes / 1e6:.1f} MB")]
    free_bytes = shutil.disk_usage(path.parent).free
    text = f"{free_bytes / 1e9:.1f} GB free on its disk"
    if free_bytes < LOW_ROOM_BYTES:
        findings.append(Finding("room", "warning", f"{text}; make room before it is full"))
    else:
        findings.append(Finding("room", "ok", text))
    return findings


def _integrity(view: View) -> Finding:
    problems = [row[0] for row in view.run("doctor_integrity") if row[0] != "ok"]
    if problems:
        text = f"{len(problems)} problems, the first: {problems[0]}. Restore a backup"
        return Finding("integrity", "error", text)
    return Finding("integrity", "ok", "the file is whole")


def _calendar(view: View, clock: Clock) -> Finding:
    """Say whether this process's calendar is that of the others."""
    now_ms = clock.now_ms()
    rows = view.run("calendar_get")
    known = Seen(*rows[0]) if rows else None
    ahead_ms = now_ms - believe(known, boot_of(clock), now_ms, clock.steady_ms())[0]
    if ahead_ms > 0:
        text = (
            f"{in_words(ahead_ms / 1000)} ahead of what the file has seen of it since the host"
            " started; nothing is removed for its age until it has been so for a day. Put it right"
            " if it is wrong"
        )
        return Finding("calendar", "warning", text)
    return Finding("calendar", "ok", "as the file has seen it")


def _misdated(view: View, clock: Clock) -> list[Finding]:
    """Delayed jobs whose moment a wrong calendar has set."""
    rows = view.run("doctor_misdated", clock.now_ms() + MISDATED_MS, boot_of(clock))
    if not rows:
        return []
    named = ", ".join(f"{queue}/{job_id}" for queue, job_id in rows[:3])
    text = (
        f"jobs that were put off at a moment which has not come yet: {len(rows):,}"
        f" ({named}{', …' if len(rows) > 3 else ''}); a calendar was wrong, and they are due later"
        " than they were meant to be. toril jobs promote QUEUE ID lets one start now"
    )
    return [Finding("due moments", "warning", text)]


def _take_backs(lapsed: Sequence[tuple[Any, ...]]) -> list[Repair]:
    by_queue: dict[str, list[str]] = {}
    for _, queue, job_id, *_ in lapsed:
        by_queue.setdefault(queue, []).append(job_id)
    return [
        Repair(queue, "take_back", ids[:PLAN_AT_MOST]) for queue, ids in sorted(by_queue.items())
    ]
