"""A PostgreSQL server of the test's own: new, on a socket, gone afterwards."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.packages import install

_BINARIES = "/usr/lib/postgresql/*/bin"


@contextmanager
def running_postgres() -> Iterator[str]:
    """Start a server and yield its address for SQLAlchemy."""
    binaries = _binaries()
    user = _unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="toril-pg-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        initdb = ["-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8"]
        _run([str(binaries / "initdb"), *initdb], user)
        options = f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=20"
        control = [str(binaries / "pg_ctl"), "-D", str(data), "-w"]
        _run([*control, "-l", str(folder / "log"), "-o", options, "start"], user)
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            _run([*control, "-m", "immediate", "stop"], user)
    finally:
        shutil.rmtree(folder)


def _binaries() -> Path:
    found = sorted(glob.glob(f"{_BINARIES}/initdb"))
    if not found:
        trouble = install("postgresql")
        found = sorted(glob.glob(f"{_BINARIES}/initdb"))
        assert found, f"PostgreSQL is needed and not under {_BINARIES}: {trouble}"
    return Path(found[-1]).parent


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _run(command: list[str], user: str | None) -> None:
    # The server inherits these streams: a pipe would keep this waiting for as long as it runs.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            command, user=user, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd="/"
        )
        output.seek(0)
        assert done.returncode == 0, output.read().decode(errors="replace")
