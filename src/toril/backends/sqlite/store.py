"""Puts the embedded store together."""

from __future__ import annotations

from pathlib import Path

import apsw

from toril.backends.sqlite.access import SqliteAccessRecords
from toril.backends.sqlite.alerts import SqliteAlertStore
from toril.backends.sqlite.audit import SqliteAudit
from toril.backends.sqlite.bulk import SqliteBulk
from toril.backends.sqlite.change_check import ChangeCheck
from toril.backends.sqlite.counts import SqliteCounts
from toril.backends.sqlite.dead_letters import SqliteDeadLetters
from toril.backends.sqlite.deduplication import SqliteDeduplicationIds
from toril.backends.sqlite.dispatch import SqliteDispatch
from toril.backends.sqlite.events import SqliteEvents
from toril.backends.sqlite.files import StoreFile
from toril.backends.sqlite.flows import SqliteFlows
from toril.backends.sqlite.history import SqliteHistory
from toril.backends.sqlite.jobs import SqliteJobs
from toril.backends.sqlite.lifecycle import SqliteLifecycle
from toril.backends.sqlite.limits import SqliteLimits
from toril.backends.sqlite.logs import SqliteLogs
from toril.backends.sqlite.moving import SqliteMoving
from toril.backends.sqlite.operations import SqliteOperationStore
from toril.backends.sqlite.reader import FileReader, Reader, SharedReader
from toril.backends.sqlite.relaying import SqliteRelaying
from toril.backends.sqlite.replies import translate
from toril.backends.sqlite.schedules import SqliteSchedules
from toril.backends.sqlite.search import SqliteSearch
from toril.backends.sqlite.signal import Signal
from toril.backends.sqlite.urls import FileOptions
from toril.backends.sqlite.workers import SqliteWorkers
from toril.backends.sqlite.writer import Writer
from toril.core.clock import Clock
from toril.engine.contract import Backend


def open_sqlite(
    path: str,
    *,
    options: FileOptions,
    clock: Clock,
    create: bool,
) -> Backend:
    """Open (or make) the file at `path`; `:memory:` is a store that ends with the process.

    Raises:
        BackendError: It cannot be opened; the message says why and what to do.
    """
    in_memory = path == ":memory:"
    if not in_memory:
        path = str(Path(path).absolute())
    work, news = Signal(), Signal()
    try:
        file = None if in_memory else StoreFile(path, options, create=create)
        writer = Writer(
            path, file, clock=clock, durability=options.durability, work=work, news=news
        )
    except apsw.Error as error:
        raise translate(error, path) from error
    if file is not None:
        work.heed(ChangeCheck(file.place.real, writer.look))
        news.heed(ChangeCheck(file.place.real, writer.look))
    reader: Reader = SharedReader(writer) if file is None else FileReader(path, file.place)

    def close() -> None:
        work.close()
        news.close()
        reader.close()
        if writer.checkpointer is not None:
            writer.checkpointer.close()
        writer.close()

    return Backend(
        url=f"sqlite://{path}" if in_memory else f"sqlite:///{path}",
        clock=clock,
        jobs=SqliteJobs(writer, reader, clock),
        bulk=SqliteBulk(writer),
        logs=SqliteLogs(writer, reader),
        deduplication=SqliteDeduplicationIds(writer, reader, clock),
        moving=SqliteMoving(writer, reader, clock),
        relaying=SqliteRelaying(writer),
        dispatch=SqliteDispatch(writer, work),
        events=SqliteEvents(writer, reader, news),
        counts=SqliteCounts(writer, reader, clock),
        limits=SqliteLimits(writer),
        dead_letters=SqliteDeadLetters(writer, reader),
        schedules=SqliteSchedules(writer, reader, clock),
        workers=SqliteWorkers(writer, reader, clock),
        lifecycle=SqliteLifecycle(path, reader, writer, clock, close),
        flows=SqliteFlows(writer, reader),
        access=SqliteAccessRecords(writer, reader, clock),
        audit=SqliteAudit(writer, reader),
        search=SqliteSearch(reader, clock),
        operations=SqliteOperationStore(writer, reader, clock),
        history=SqliteHistory(writer, reader),
        alerts=SqliteAlertStore(writer, reader, clock),
        capabilities=frozenset({"stopwatch"} if in_memory else {"stopwatch", "shared_processes"}),
    )
