"""Writes jobs to a file, one JSON object a line."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO

import msgspec

from toril.engine.info import JobInfo
from toril.engine.search.grammar import parse
from toril.engine.search.searcher import Searcher

CHUNK = 200
"""Jobs that are written at once."""


async def found_jobs(searcher: Searcher, text: str) -> AsyncGenerator[list[JobInfo], None]:
    """Yield the jobs that a search finds, whole, some at a time."""
    query = parse(text)
    looks = searcher.looks(query, searcher.start(query), room=lambda: CHUNK)
    async with aclosing(looks):
        async for look in looks:
            yield [JobInfo.from_record(record) for record in look.found]


async def write_lines(
    parts: AsyncIterator[Sequence[bytes]],
    path: Path,
    *,
    max_per_s: float | None,
    progress: Callable[[int], None] | None,
) -> int:
    """Write lines to a file as they come; return how many.

    The file has its name once it is whole.
    """
    written, began_s = 0, time.monotonic()
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            async for lines in parts:
                if lines:
                    await asyncio.to_thread(file.write, b"\n".join(lines) + b"\n")
                written += len(lines)
                if progress is not None:
                    progress(written)
                if max_per_s is not None:
                    wait_s = began_s + written / max_per_s - time.monotonic()
                    await asyncio.sleep(max(0.0, wait_s))
            await asyncio.to_thread(_settle, file)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return written


async def lines_of(parts: AsyncIterator[Sequence[JobInfo]]) -> AsyncIterator[list[bytes]]:
    """Yield jobs as lines of JSON."""
    async for jobs in parts:
        yield [msgspec.json.encode(job) for job in jobs]


def _settle(file: BinaryIO) -> None:
    """Have all that was written reach the disk."""
    file.flush()
    os.fsync(file.fileno())
