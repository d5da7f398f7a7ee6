"""Writes jobs to a file, one JSON object a line."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO

import msgspec

from toril.engine.info import JobInfo
from toril.engine.search.grammar import parse
from toril.engine.search.searcher import Searcher

CHUNK = 200
"""Jobs that are written at once."""


async def export_jobs(
    searcher: Searcher,
    text: str,
    path: Path,
    *,
    max_per_s: float | None,
    progress: Callable[[int], None] | None,
) -> int:
    """Write the jobs that a search finds; return how many."""
    query = parse(text)
    written, began_s = 0, time.monotonic()
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            looks = searcher.looks(query, searcher.start(query), room=lambda: CHUNK)
            async with aclosing(looks):
                async for look in looks:
                    lines = [
                        msgspec.json.encode(JobInfo.from_record(record)) for record in look.found
                    ]
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


def _settle(file: BinaryIO) -> None:
    """Have all that was written reach the disk."""
    file.flush()
    os.fsync(file.fileno())
