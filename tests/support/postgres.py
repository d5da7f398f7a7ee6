"""A PostgreSQL server of the caller's own: new, on this machine only, gone afterwards.

Whatever becomes of the caller, it ends with it.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.support.lifelines import dies_with_us
from tests.support.packages import install
from tests.support.ports import give_back_port, reserve_port
from tests.support.waiting import wait_until_sync

START_S = 60.0
"""How long a server may take to answer on a busy machine."""
_BINARIES = "/usr/lib/postgresql/*/bin"
"""Where Debian's packages have them: not on the path, as several versions may be there."""


MOST_CONNECTIONS = 300
"""Systems of several processes share a server, each with a pool, until the tests end."""


@contextmanager
def running_postgres(folder: Path | None = None, options: Sequence[str] = ()) -> Iterator[str]:
    """Start a server, as it is delivered, and yield the URL of its database.

    Parameters:
        folder: In which its own is made. Default: that for temporary files.
        options: Of its command line, such as `("-c", "fsync=off")`.

    Raises:
        AssertionError: There is none and none can be installed, or it does not start.
    """
    binaries = postgres_binaries()
    user = postgres_user()
    own = Path(tempfile.mkdtemp(prefix="toril-pg-", dir=folder))
    port = reserve_port()
    try:
        if user is not None:
            shutil.chown(own, user)
        data, log = own / "data", own / "log"
        initdb = ["-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8"]
        done = subprocess.run(
            [str(binaries / "initdb"), *initdb],
            user=user,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"initdb: {done.stderr[-2000:]}"
        where = ["-D", str(data), "-k", str(own), "-h", "127.0.0.1", "-p", str(port)]
        where += ["-c", f"max_connections={MOST_CONNECTIONS}"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*dies_with_us(signal.SIGQUIT), str(binaries / "postgres"), *where, *options],
                user=user,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            answers = partial(_answers, binaries, port, process, log)
            wait_until_sync(answers, deadline_s=START_S, what=f"PostgreSQL on port {port}")
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            process.wait()
    finally:
        shutil.rmtree(own, ignore_errors=True)
        give_back_port(port)


def postgres_binaries() -> Path:
    """Return the folder of the newest version's programs; install PostgreSQL if there is none."""
    found = _installed()
    if not found:
        trouble = install("postgresql")
        found = _installed()
        assert found, f"PostgreSQL is needed and not under {_BINARIES}: {trouble}"
    return found[-1]


def postgres_user() -> str | None:
    """Return as whom the server runs, since it refuses to run as root; None: as whoever we are."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _installed() -> list[Path]:
    folders = [Path(one).parent for one in glob.glob(f"{_BINARIES}/postgres")]
    return sorted(folders, key=lambda folder: float(folder.parent.name))


def _answers(binaries: Path, port: int, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, f"PostgreSQL did not start: {log.read_text()[-2000:]}"
    ready = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.run(ready, check=False).returncode == 0
