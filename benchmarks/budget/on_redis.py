"""One job on Redis: what BullMQ's layout asks of the server, what ours takes, and the way there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.redis_server import RedisServer

from benchmarks.budget.rows import Row, median_us
from benchmarks.budget.work import Work
from benchmarks.loop import loop_factory
from benchmarks.toril_figures.claiming import BATCH

TURNS = 2_000

# The least that leaves what the layout asks for, for `ARGV[1]` jobs in one call: no checks, no
# options, no policies. (spec, sections 3.3, 3.4 and 3.6.)
_ADD = """
local ids = {}
for number = 1, ARGV[1] do
  local id = tostring(redis.call('INCR', 'f:id'))
  redis.call('HSET', 'f:' .. id, 'name', 'n', 'data', '{"i":1}', 'opts', '{"attempts":5}',
    'timestamp', '1800000000000', 'delay', '0', 'priority', '0')
  redis.call('XADD', 'f:events', 'MAXLEN', '~', 10000, '*', 'event', 'added', 'jobId', id,
    'name', 'n')
  redis.call('XADD', 'f:events', 'MAXLEN', '~', 10000, '*', 'event', 'waiting', 'jobId', id)
  ids[number] = id
end
redis.call('LPUSH', 'f:wait', unpack(ids))
redis.call('ZADD', 'f:marker', 0, '0')
"""
_WORK = """
local ids = redis.call('RPOP', 'f:wait', ARGV[1])
redis.call('LPUSH', 'f:active', unpack(ids))
local done = {}
for number, id in ipairs(ids) do
  local key = 'f:' .. id
  redis.call('HMGET', key, 'name', 'data', 'opts', 'ats', 'atm', 'timestamp', 'stc', 'defa',
    'priority')
  redis.call('SET', key .. ':lock', 'worker:1', 'PX', 30000)
  redis.call('HSET', key, 'processedOn', '1800000000000', 'ats', '1', 'pb', 'worker')
  redis.call('XADD', 'f:events', 'MAXLEN', '~', 10000, '*', 'event', 'active', 'jobId', id,
    'prev', 'waiting')
  redis.call('GET', key .. ':lock')
  redis.call('HMGET', key, 'name', 'priority', 'parent', 'deid', 'defa')
  redis.call('HSET', key, 'atm', '1', 'returnvalue', 'null', 'finishedOn', '1800000000000')
  redis.call('XADD', 'f:events', 'MAXLEN', '~', 10000, '*', 'event', 'completed', 'jobId', id,
    'returnvalue', 'null', 'prev', 'active')
  redis.call('DEL', key .. ':lock')
  done[2 * number - 1], done[2 * number] = 1800000000000, id
end
redis.call('DEL', 'f:active')
redis.call('ZADD', 'f:completed', unpack(done))
for _, id in ipairs(redis.call('ZRANGE', 'f:completed', 0, -10001)) do
  redis.call('DEL', 'f:' .. id)
end
redis.call('ZREMRANGEBYRANK', 'f:completed', 0, -10001)
"""


class _Server:
    """The server, and what it counts."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    def scripts_us(self) -> float:
        """Return the time in scripts since it was last asked."""
        said = self._server.command("INFO", "commandstats")
        self._server.command("CONFIG", "RESETSTAT")
        lines = [line for line in said.splitlines() if line.startswith("cmdstat_eval")]
        return sum(float(line.partition("usec=")[2].partition(",")[0]) for line in lines)

    def floor(self, script: str, calls: int) -> float:
        """Return seconds in the server for each job that a script is called for."""
        sha = self._server.command("SCRIPT", "LOAD", script)
        self.scripts_us()
        for _ in range(calls):
            self._server.command("EVALSHA", sha, 0, BATCH)
        return self.scripts_us() / calls / BATCH / 1e6


async def _pings(url: str) -> float:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    begin_s = time.perf_counter()
    for _ in range(TURNS):
        writer.write(b"PING\r\n")
        await reader.readline()
    took_s = (time.perf_counter() - begin_s) / TURNS
    writer.close()
    await writer.wait_closed()
    return took_s


def rows(folder: Path) -> list[Row]:
    """Measure."""
    with (
        RedisServer.start(folder) as running,
        asyncio.Runner(loop_factory=loop_factory()) as runner,
    ):
        server = _Server(running)
        calls = 60

        def both(act: Callable[[], Coroutine[Any, Any, float]]) -> tuple[float, float]:
            """Return microseconds a job: in the server's scripts, and of our own CPU."""
            in_server: list[float] = []

            def once() -> float:
                server.scripts_us()
                ours_s = runner.run(act())
                in_server.append(server.scripts_us())
                return ours_s

            median = median_us(once)
            return sorted(in_server)[len(in_server) // 2] / calls / BATCH, median

        add_floor = median_us(lambda: server.floor(_ADD, calls))
        work_floor = median_us(lambda: server.floor(_WORK, calls))
        running.command("FLUSHALL")
        with Work(running.url, runner) as work:
            add = both(lambda: work.add(calls))
            exchange = both(lambda: work.exchange(calls))
            alone_us = median_us(lambda: runner.run(work.add_alone(TURNS)))
        ping_us = median_us(lambda: runner.run(_pings(running.url)))
    return [
        Row(f"add, in the server, {BATCH} in a call", add_floor, add[0]),
        Row(f"claim and finish, in the server, {BATCH} in a call", work_floor, exchange[0]),
        Row(f"add, CPU of the client, {BATCH} in a call", None, add[1]),
        Row(f"claim and finish, CPU of the client, {BATCH} in a call", None, exchange[1]),
        Row("one call and its answer, alone on the loop: a PING; a plain add", ping_us, alone_us),
    ]
