"""The official BullMQ for Python, in a virtual environment of its own, at a test's command.

It asks for versions of its own of what it needs, so it does not share ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.support.bullmq import INTEROP, BullMQ
from tests.support.environments import python_with

REQUIREMENTS = ("bullmq>=3.4,<4", "hiredis>=3.2", "msgspec>=0.19", "uvloop>=0.20")
"""The port, what makes it as fast as it is meant to be, and what the benchmark talks to it with."""
ENVIRONMENT = INTEROP.parents[1] / ".python-bullmq"


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
    """Return the interpreter of the environment; make it if it is not there as wanted."""
    return python_with(REQUIREMENTS, ENVIRONMENT)
