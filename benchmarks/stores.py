"""New, empty stores, one for each measurement.

Redis and PostgreSQL are the tests' own servers: on a free port of this machine, installed if they
are missing, and gone with whoever started them. Redis keeps nothing on disk; PostgreSQL is as it is
delivered, so that what it has committed survives a loss of power.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.postgres import postgres_binaries, postgres_user, running_postgres
from tests.support.redis_server import RedisServer, redis_server_binary

from benchmarks.order import Store

REDIS_SETTINGS = "persistence off (no snapshots, no append-only file), all else as delivered"
"""What every such server here is told; `RedisServer` starts it so."""


class MissingServerError(Exception):
    """A server is not on this machine, and could not be installed; the message says why."""


@contextmanager
def fresh_store(store: Store, folder: Path) -> Iterator[str]:
    """Give where a new store is: a folder of its own for SQLite, else the URL of a server.

    Parameters:
        store: Which.
        folder: In which it is made, and removed again.
    """
    if store == "postgresql":
        with running_postgres(folder) as url:
            yield url
        return
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
    return f"{name} {version} on this machine, over TCP; {REDIS_SETTINGS}"


def postgresql_in_words(folder: Path) -> str:
    """Return which PostgreSQL is measured, and how it is set up.

    Parameters:
        folder: In which its data would be.

    Raises:
        MissingServerError: There is none, or it could not use the folder.
    """
    try:
        binary = postgres_binaries() / "postgres"
    except AssertionError as error:
        raise MissingServerError(str(error)) from None
    user = postgres_user()
    entering = subprocess.run(["test", "-x", str(folder)], user=user, cwd="/", check=False)
    if entering.returncode != 0:
        raise MissingServerError(
            f"PostgreSQL does not run as root, and {user} may not enter {folder}: --directory names"
            " another"
        )
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    version = next((word for word in said.split() if word[0].isdigit()), "unknown")
    return f"PostgreSQL {version} on this machine, over TCP; all as delivered: it syncs each commit"
