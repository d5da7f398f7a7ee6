"""One job on SQLite: what its rows and its commit cost, and what ours takes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import apsw

from benchmarks.budget.rows import Row, median_us
from benchmarks.budget.work import Work
from benchmarks.loop import loop_factory
from benchmarks.toril_figures.claiming import BATCH

COMMITS = 300
_TABLE = """
CREATE TABLE jobs (
  number INTEGER PRIMARY KEY, queue_id INTEGER, state TEXT, priority INTEGER, position INTEGER,
  token TEXT, name TEXT, opts TEXT, data TEXT, result TEXT
) STRICT;
CREATE INDEX jobs_line ON jobs (queue_id, priority, position) WHERE state = 'wait';
CREATE INDEX jobs_active ON jobs (queue_id, token) WHERE state = 'active';
CREATE INDEX jobs_finished ON jobs (queue_id, number) WHERE state = 'completed';
"""
_INSERT = """
INSERT INTO jobs (queue_id, state, priority, position, name, opts, data)
VALUES (1, 'wait', 0, 1, 'n', '{}', '{"i":1}')
"""
_CLAIM = "UPDATE jobs SET state = 'active', token = 'worker:1' WHERE number = ?"
_FINISH = "UPDATE jobs SET state = 'completed', token = NULL, result = 'null' WHERE number = ?"


class _Plain:
    """A file with one table of jobs, and three indexes."""

    def __init__(self, path: Path, synchronous: str) -> None:
        self._connection = apsw.Connection(str(path))
        self._connection.execute("PRAGMA journal_mode = WAL").fetchall()
        self._connection.execute(f"PRAGMA synchronous = {synchronous}").fetchall()
        self._connection.execute(_TABLE)
        self._last = 0

    def commits(self) -> float:
        """Add jobs, each in a transaction of its own; return seconds for each."""
        begin_s = time.perf_counter()
        for _ in range(COMMITS):
            self._connection.execute(_INSERT)
        return (time.perf_counter() - begin_s) / COMMITS

    def adds(self, calls: int) -> float:
        """Add jobs, `BATCH` in a transaction; return seconds of CPU for each."""
        begin_s = time.process_time()
        for _ in range(calls):
            with self._connection:
                for _ in range(BATCH):
                    self._connection.execute(_INSERT)
        return (time.process_time() - begin_s) / calls / BATCH

    def works(self, calls: int) -> float:
        """Claim and finish jobs, `BATCH` of each in a transaction; return seconds of CPU."""
        begin_s = time.process_time()
        for _ in range(calls):
            numbers = [(self._last + index + 1,) for index in range(BATCH)]
            with self._connection:
                self._connection.executemany(_CLAIM, numbers)
                self._connection.executemany(_FINISH, numbers)
            self._last += BATCH
        return (time.process_time() - begin_s) / calls / BATCH


def rows(folder: Path) -> list[Row]:
    """Measure."""
    calls = 60
    plain = {level: _Plain(folder / f"{level}.db", level) for level in ("FULL", "NORMAL")}
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        floor_full_us = median_us(plain["FULL"].commits)
        floor_normal_us = median_us(plain["NORMAL"].commits)
        add_floor_us = median_us(lambda: plain["NORMAL"].adds(calls))
        work_floor_us = median_us(lambda: plain["NORMAL"].works(calls))
        url = f"sqlite:///{folder}/toril"
        with Work(f"{url}-full.db", runner, durability="full") as full:
            alone_full_us = median_us(lambda: runner.run(full.add_alone(COMMITS)))
        with Work(f"{url}-normal.db", runner, durability="normal") as normal:
            alone_normal_us = median_us(lambda: runner.run(normal.add_alone(COMMITS)))
            add_us = median_us(lambda: runner.run(normal.add(calls)))
            exchange_us = median_us(lambda: runner.run(normal.exchange(calls)))
    return [
        Row(f"add, CPU, {BATCH} in a transaction", add_floor_us, add_us),
        Row(f"claim and finish, CPU, {BATCH} in a transaction", work_floor_us, exchange_us),
        Row("one add and its commit, durability `full`", floor_full_us, alone_full_us),
        Row("one add and its commit, durability `normal`", floor_normal_us, alone_normal_us),
    ]
