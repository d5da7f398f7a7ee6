"""A clamd of the tests, with one signature of its own, so that nothing is downloaded."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.packages import install
from tests.support.ports import give_back_port, reserve_port
from tests.support.waiting import wait_until_sync

from toril.services.scan.memory import eicar

SIGNATURE = "Toril.Test.Eicar.UNOFFICIAL"
STREAM_MAX_BYTES = 1024 * 1024
MAX_FILE_BYTES = 512 * 1024


class Clamd:
    """A clamd process in a folder of its own. It can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = reserve_port()
        self.socket = folder / "clamd.sock"
        self._config = folder / "clamd.conf"
        self._log = folder / "clamd.log"
        self._process: subprocess.Popen[bytes] | None = None
        signatures = folder / "signatures"
        signatures.mkdir()
        # The name, any kind of file, any place, the pattern in hexadecimal.
        (signatures / "own.ndb").write_text(f"Toril.Test.Eicar:0:*:{eicar().hex()}\n")
        self._config.write_text(
            f"Foreground yes\nDatabaseDirectory {signatures}\nLocalSocket {self.socket}\n"
            f"TCPSocket {self.port}\nTCPAddr 127.0.0.1\nLogFile {self._log}\n"
            f"StreamMaxLength {STREAM_MAX_BYTES}\nMaxFileSize {MAX_FILE_BYTES}\n"
            f"AlertExceedsMax yes\nTemporaryDirectory {folder}\nMaxThreads 20\nFixStaleSocket yes\n"
            f"User {_user()}\n"
        )

    @property
    def unix(self) -> str:
        """Its address on this machine."""
        return f"unix://{self.socket}"

    @property
    def tcp(self) -> str:
        """Its address in the network."""
        return f"tcp://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            [_binary(), "--config-file", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        wait_until_sync(self._answers, what="clamd to answer", deadline_s=60)

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        process = self._process
        assert process is not None
        log = self._log.read_text() if self._log.exists() else ""
        assert process.poll() is None, f"clamd ended with {process.poll()}: {log}"
        for family, address in (
            (socket.AF_UNIX, str(self.socket)),
            (socket.AF_INET, ("127.0.0.1", self.port)),
        ):
            try:
                with socket.socket(family) as line:
                    line.settimeout(5)
                    line.connect(address)
                    line.sendall(b"zPING\0")
                    if line.recv(10) != b"PONG\0":
                        return False
            except OSError:
                return False
        return True


@contextmanager
def running_clamd(folder: Path) -> Iterator[Clamd]:
    """Run a clamd; it is installed if the machine has none."""
    clamd = Clamd(folder)
    try:
        clamd.start()
        yield clamd
    finally:
        clamd.kill()
        give_back_port(clamd.port)


def _binary() -> str:
    trouble = ""
    found = _find()
    if found is None:
        trouble = install("clamav-daemon")
        found = _find()
    assert found is not None, f"there is no clamd on this machine: {trouble}"
    return found


def _find() -> str | None:
    return shutil.which("clamd") or shutil.which("clamd", path="/usr/sbin:/usr/local/sbin")


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
