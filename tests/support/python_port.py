"""The official BullMQ for Python, in a virtual environment of its own, at a test's command.

It asks for versions of its own of what it needs, so it does not share ours.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.support.bullmq import INTEROP, BullMQ

REQUIREMENTS = ("bullmq>=3.4,<4", "hiredis>=3.2", "msgspec>=0.19", "uvloop>=0.20")
"""The port, what makes it as fast as it is meant to be, and what the benchmark talks to it with."""
ENVIRONMENT = INTEROP.parents[1] / ".python-bullmq"
_READY = ".toril-ready"


class PythonPort(BullMQ):
    """A Python process with the official port of BullMQ in it."""

    language: ClassVar[str] = "the Python port"

    @classmethod
    def command(cls) -> Sequence[str]:
        return [str(python_with_bullmq()), str(INTEROP / "driver_python.py")]

    async def obliterate(self, queue: str, *, force: bool = False) -> None:
        """Remove a queue with all its jobs."""
        await self.call(queue, "obliterate", force)


def python_with_bullmq() -> Path:
    """Return the interpreter of the environment; make it if it is not there as wanted.

    Test runs that start at the same time make it once: the others wait.
    """
    python = ENVIRONMENT / "bin" / "python"
    ready = ENVIRONMENT / _READY
    wanted = f"{' '.join(REQUIREMENTS)} {sys.version}"
    whose = hashlib.sha256(str(ENVIRONMENT).encode()).hexdigest()[:16]
    lock = Path(tempfile.gettempdir()) / f"toril-bullmq-{os.getuid()}-{whose}.lock"
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if ready.is_file() and ready.read_text("utf-8") == wanted:
            return python
        _run(sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT))
        _run(str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS)
        ready.write_text(wanted, "utf-8")
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"`{' '.join(command)}`: {done.stderr[-2000:]}"
