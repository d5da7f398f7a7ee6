"""A real S3-compatible server of the tests' own: moto's, in a process, empty at first."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.lifelines import dies_with_us
from tests.support.ports import give_back_port, reserve_port
from tests.support.waiting import wait_until_sync

START_S = 60.0
"""How long it may take to answer on a busy machine: it loads a lot."""


@dataclass(frozen=True)
class S3Server:
    """A server that runs."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def make_bucket(self, name: str) -> None:
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/{name}", method="PUT")).close()

    def unfinished_uploads(self, bucket: str) -> int:
        """Return how many uploads in parts have been neither completed nor given up."""
        with urllib.request.urlopen(f"{self.url}/{bucket}?uploads") as answer:
            return int(answer.read().decode().count("<UploadId>"))


@contextmanager
def running_s3(folder: Path) -> Iterator[S3Server]:
    """Run a server beside the tests."""
    port = reserve_port()
    log = folder / f"moto-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *dies_with_us(),
                sys.executable,
                "-m",
                "moto.server",
                "-H",
                "127.0.0.1",
                "-p",
                str(port),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    server = S3Server(port)

    def answers() -> bool:
        assert process.poll() is None, f"moto did not start: {log.read_text()[-2000:]}"
        try:
            urllib.request.urlopen(server.url, timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    try:
        wait_until_sync(answers, deadline_s=START_S, what=f"moto on port {port}")
        yield server
    finally:
        process.kill()
        process.wait()
        give_back_port(port)
