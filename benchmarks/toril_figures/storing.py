"""What jobs take where they lie: in a Redis server, in a file."""

from __future__ import annotations

import contextlib

import apsw
import msgspec

from benchmarks.order import Order, Values
from benchmarks.server_memory import used_memory_bytes
from benchmarks.toril_figures.adding import fill
from benchmarks.toril_figures.laden import bundle
from benchmarks.toril_figures.noops import QUEUE
from benchmarks.toril_figures.stage import add, completed, opened, working

DELAY_S = 86_400.0


async def backlog(order: Order, where: str) -> Values:
    """Bytes per waiting job, those of the warm-up not counted.

    They fill the stream of events, which is of limited length, and so no cost of a job. What the
    server holds for connections is none either: those that have added are closed.
    """
    await fill(msgspec.structs.replace(order, jobs=order.warm_up), where)
    before = used_memory_bytes(where)
    await fill(order, where)
    return {"bytes_per_job": (used_memory_bytes(where) - before) / order.jobs}


async def weighed(order: Order, where: str) -> Values:
    """Bytes per job of a state, in a server or in a file; those of the warm-up not counted.

    Of a file it is the pages that hold something, once what was written ahead is in it. Completed
    jobs are all kept.
    """
    await _lay_down(order, where, order.warm_up)
    before = _used_bytes(order, where)
    await _lay_down(order, where, order.jobs)
    return {"bytes_per_job": (_used_bytes(order, where) - before) / order.jobs}


async def _lay_down(order: Order, where: str, count: int) -> None:
    async with opened(order, where) as app:
        app.include(bundle)
        task = app.find_task("kept")
        if order.case.state == "delayed":
            task = task.with_options(delay=DELAY_S)
        await add(task, count)
        if order.case.state == "completed":
            info = await app.queue(QUEUE).info()
            so_far = 0 if info is None else info.completed_total
            async with working(app, order.concurrency) as running:
                await completed(app, so_far + count, running)


def _used_bytes(order: Order, where: str) -> int:
    if order.store == "redis":
        return used_memory_bytes(where)
    with contextlib.closing(apsw.Connection(f"{where}/toril.db")) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages, free, size = (
            int(file.pragma(name)) for name in ("page_count", "freelist_count", "page_size")
        )
    return (pages - free) * size
