"""The programs of a page about another queue, as a reader has them: files, a worker, and a call."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

from benchmarks.python_peers import PYTHON_PEERS
from tests.cli.support import PATIENCE_S, Running
from tests.contrib.django_project import clean
from tests.house.pages import Block, blocks
from tests.support.environments import python_with
from tests.support.node import node_binary, node_modules
from tests.support.python_port import python_with_bullmq

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "coming-from"
REQUIREMENTS = (
    "redis[hiredis]>=5.2,<6",  # as arq wants it; said first, so that pip does not try them all
    "arq>=0.28",
    "dramatiq[redis]>=2.2",
    "huey>=3.5",
    "rq>=3.0",
)
"""They live with each other, but ask for another redis-py than our tests, and than Celery."""

Side = Literal["theirs", "ours"]


class Programs:
    """What a page has in its files, in a folder."""

    def __init__(self, page: str, folder: Path, redis_port: int) -> None:
        self.folder = folder
        self.started: list[Running] = []
        self.page: list[Block] = blocks((PAGES / f"{page}.md").read_text("utf-8"))
        for block in self.page:
            if block.title is not None:
                text = re.sub(r"(localhost:|port: )6379", rf"\g<1>{redis_port}", block.text)
                (folder / block.title).write_text(text, "utf-8")
        if any((block.title or "").endswith(".mjs") for block in self.page):
            (folder / "node_modules").symlink_to(node_modules())
        self._bins = [Path(sys.executable).parent, _bin_of(page)]

    @property
    def says(self) -> str:
        """What the page says that both sides print."""
        (said,) = (block.text for block in self.page if block.language == "text")
        return said

    def work(self, side: Side) -> None:
        """Start a worker as the page does."""
        log = self.folder / f"log-{len(self.started)}.txt"
        with log.open("wb") as file:
            process = subprocess.Popen(
                self._command(side, 0),
                cwd=self.folder,
                env=self._environment(side),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(Running(process, log))

    def call(self, side: Side) -> str:
        """Run the calling program, and return what it printed."""
        done = subprocess.run(
            self._command(side, 1),
            cwd=self.folder,
            env=self._environment(side),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S + 20,
            check=False,
        )
        workers = "\n".join(each.log for each in self.started)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{workers}"
        return done.stdout

    def end_all(self) -> None:
        """Kill whatever still runs."""
        for each in self.started:
            if each.process.poll() is None:
                os.killpg(each.pid, signal.SIGKILL)
                each.process.wait()

    def _command(self, side: Side, line: int) -> list[str]:
        theirs, ours = (block.text for block in self.page if block.language == "sh")
        command, *words = (theirs if side == "theirs" else ours).splitlines()[line].split()
        found = shutil.which(command, path=self._environment(side)["PATH"])
        assert found is not None, f"{command} is not installed"
        words = [re.sub(r"localhost:6379", self._server(), word) for word in words]
        return [found, *words]

    def _server(self) -> str:
        text = (self.folder / "tasks.py").read_text("utf-8")
        found = re.search(r"localhost:\d+", text)
        return found[0] if found else ""

    def _environment(self, side: Side) -> dict[str, str]:
        ours, theirs = self._bins
        first = theirs if side == "theirs" else ours
        return clean() | {
            "PATH": f"{first}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
        }


def peers_python() -> Path:
    """Return the interpreter of the environment that the queues for Python share."""
    return python_with(REQUIREMENTS, ROOT / ".bench-peers" / "coming-from")


def celery_python() -> Path:
    """Return the interpreter of Celery's environment, which the benchmark has as well."""
    return Path(PYTHON_PEERS["celery"].python)


def _bin_of(page: str) -> Path:
    match page:
        case "bullmq-node":
            return Path(node_binary()).parent
        case "bullmq-python":
            return python_with_bullmq().parent
        case "celery":
            return celery_python().parent
        case _:
            return peers_python().parent
