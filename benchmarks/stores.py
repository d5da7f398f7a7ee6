"""New, empty stores, one for each measurement.

Redis is the tests' own server: on a free port of this machine, with nothing kept on disk, installed
if it is missing, and gone with whoever started it.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.redis_server import RedisServer, redis_server_binary

from benchmarks.order import Store

SETTINGS = "persistence off (no snapshots, no append-only file), all else as delivered"
"""What every server here is told; `RedisServer` starts it so."""


class MissingServerError(Exception):
    """There is no Redis on this machine, and none could be installed; the message says why."""


@contextmanager
def fresh_store(store: Store, folder: Path) -> Iterator[str]:
    """Give where a new store is: a folder of its own for SQLite, the URL of a server for Redis.

    Parameters:
        store: Which.
        folder: In which it is made, and removed again.
    """
    with tempfile.TemporaryDirectory(prefix="toril-bench-", dir=folder) as own:
        if store == "sqlite":
            yield own
            return
        with RedisServer.start(Path(own)) as server:
            yield server.url


def redis_in_words() -> str:
    """Return which Redis is measured, and how it is set up.

    Raises:
        MissingServerError: There is none.
    """
    try:
        binary = redis_server_binary()
    except AssertionError as error:  # the tests' way to say so
        raise MissingServerError(str(error)) from None
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    version = next((word[2:] for word in said.split() if word.startswith("v=")), "unknown")
    name = said.split(" ", 1)[0]
    return f"{name} {version} on this machine, over TCP; {SETTINGS}"
