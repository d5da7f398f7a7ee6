"""`python -m benchmarks.commands URL SECONDS`: what a Redis server was told to do in that time.

A process of its own, so that no measured one counts for itself, in whatever language it is. Both
sides are here. It sends two commands itself, which it does not count.

Source:
    Redis, `INFO commandstats`: a command that a script calls is a call like any other; `MONITOR`
    tells where each came from, and is silent on some (CLIENT UNBLOCK), so it cannot give the sum.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO
from urllib.parse import urlsplit

import msgspec
from tests.support.redis_client import RedisClient

from benchmarks.order import Values

_CALLS = re.compile(r"^cmdstat_[^:]+:calls=(\d+)", re.MULTILINE)
_QUESTION = ("INFO", "commandstats")


async def watching(url: str, duration_s: float) -> asyncio.subprocess.Process:
    """Have another process count for a while; `told_by` waits for what it has to tell."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.commands", url, str(duration_s)),
        stdout=asyncio.subprocess.PIPE,
    )


async def told_by(process: asyncio.subprocess.Process) -> Values:
    """Return what was counted.

    Returns:
        Per minute: `calls_per_min`, all that the server ran, and `sent_per_min`, those of them that
        a client had sent and not a script.
    """
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"counting commands: exit code {process.returncode}")
    return msgspec.json.decode(said, type=Values)


def count(url: str, meanwhile: Callable[[], object]) -> tuple[int, int]:
    """Return how many commands a server runs meanwhile, and how many of them clients have sent."""
    port = urlsplit(url).port
    with (
        RedisClient(port=port) as client,
        socket.create_connection(("127.0.0.1", port or 0)) as connection,
        connection.makefile("rb") as monitor,
        ThreadPoolExecutor(1) as reader,
    ):
        client.command("PING")  # connected before, so that nothing of it falls into the time
        connection.sendall(b"MONITOR\r\n")
        monitor.readline()
        # Read as it comes: what fills the socket for a minute is resent only after long pauses.
        in_scripts = reader.submit(_between_questions, monitor)
        before = _calls(client)
        meanwhile()
        calls = _calls(client) - before - 1  # the first question is in the second answer
        return calls, calls - in_scripts.result()


def main() -> None:
    """Count for as long as the command line says."""
    url, duration_s = sys.argv[1], float(sys.argv[2])
    calls, sent = count(url, lambda: time.sleep(duration_s))
    per_min = 60 / duration_s
    found = {"calls_per_min": calls * per_min, "sent_per_min": sent * per_min}
    print(msgspec.json.encode(found).decode())


def _calls(client: RedisClient) -> int:
    return sum(map(int, _CALLS.findall(client.command(*_QUESTION))))


def _between_questions(monitor: BinaryIO) -> int:
    """Return how many commands of scripts the server ran between our two questions."""
    question = " ".join(f'"{word}"' for word in _QUESTION).encode()
    questions = in_scripts = 0
    while questions < 2:
        line = monitor.readline()
        if not line:
            raise ConnectionResetError("the server has ended")
        source, _, command = line.rstrip().partition(b"] ")
        if command == question:
            questions += 1
        elif questions == 1 and source.endswith(b" lua"):
            in_scripts += 1
    return in_scripts


if __name__ == "__main__":
    main()
