"""A worker process as its supervisor sees it: started, signalled, awaited, killed.

The child inherits three pipes. Lifeline: nobody writes to it; when the supervisor ends, it closes,
and the kernel kills the child, so that no child outlives its supervisor. Announcement: the child
writes its worker's id, so that its jobs can be recovered at once if it dies. URL, if one was given:
it may hold a password, and everybody on a machine may read the arguments of its processes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

import msgspec


class Announcement(msgspec.Struct, frozen=True):
    """What a child writes, a JSON object a line."""

    worker_id: str
    url: str | None
    """Where its jobs live. May hold a password; the pipe is private. None: it cannot be said, since
    the app was given a client in place of a URL."""
    shutdown_s: float
    """How long it lets running jobs go on when told to stop."""
    stage: Literal["starting", "ready", "done"] = "starting"
    """`ready`: it is at work. `done`: it holds no job any more, and ends."""

    def __repr__(self) -> str:
        return f"Announcement({self.worker_id!r}, {self.stage!r})"


class Child:
    """One worker process. Made by `start_child`."""

    def __init__(self, process: asyncio.subprocess.Process, lifeline: int, announced: int) -> None:
        self.pid = process.pid
        self.said: Announcement | None = None
        """The last that it announced."""
        self._process = process
        self._lifeline = lifeline
        self._announced = announced
        self._unread = b""
        self._started_s = time.monotonic()
        self._ready = asyncio.Event()
        os.set_blocking(announced, False)
        asyncio.get_running_loop().add_reader(announced, self._hear)

    @property
    def age_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._started_s

    @property
    def at_work(self) -> bool:
        """Whether it got so far as to take jobs."""
        return self._ready.is_set()

    def ended_well(self, code: int) -> bool:
        """Whether it did what it was told, from its exit code.

        A signal that arrives while Python itself is on its way out kills: that does not count.
        """
        return code == 0 or (self.said is not None and self.said.stage == "done")

    async def ready(self) -> bool:
        """Wait until it is at work, or has ended; return whether it got there."""
        ended = asyncio.ensure_future(self._process.wait())
        ready = asyncio.ensure_future(self._ready.wait())
        try:
            await asyncio.wait([ended, ready], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            ready.cancel()
        return self._ready.is_set()

    async def wait(self) -> int:
        """Wait for its end and return its exit code; minus the signal's number if killed."""
        code = await self._process.wait()
        self._hear()  # what it wrote just before
        self._let_go()
        return code

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it, and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _hear(self) -> None:
        if self._announced < 0:
            return
        with suppress(BlockingIOError):
            while heard := os.read(self._announced, 4096):
                *lines, self._unread = (self._unread + heard).split(b"\n")
                for line in lines:
                    self.said = msgspec.json.decode(line, type=Announcement)
                    if self.said.stage != "starting":
                        self._ready.set()
            asyncio.get_running_loop().remove_reader(self._announced)

    def _let_go(self) -> None:
        if self._announced >= 0:
            asyncio.get_running_loop().remove_reader(self._announced)
            os.close(self._announced)
            os.close(self._lifeline)
            self._announced = self._lifeline = -1


async def start_child(arguments: Sequence[str], *, url: str | None = None) -> Child:
    """Start `toril worker` as a child in a process group of its own.

    Its own group, so that Ctrl-C reaches only its keeper, which passes it on once.

    Parameters:
        arguments: What follows `toril worker`.
        url: Where its jobs live. None: what its app and the settings say.
    """
    held, lifeline = os.pipe()
    announced, telling = os.pipe()
    fds = ["--lifeline-fd", str(held), "--announce-fd", str(telling)]
    passed = [held, telling]
    try:
        if url is not None:
            passed.append(_pipe_with(url))
            fds += ["--url-fd", str(passed[-1])]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "toril", "worker", *arguments, *fds),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=passed,
            process_group=0,
        )
    except BaseException:
        os.close(lifeline)
        os.close(announced)
        raise
    finally:
        for fd in passed:
            os.close(fd)
    return Child(process, lifeline, announced)


def _pipe_with(text: str) -> int:
    """Return the end of a pipe from which a text can be read."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        os.set_blocking(writing, False)  # far longer than a pipe holds: an error, not a halt
        pipe.write(text.encode())
    return reading


def read_url(fd: int) -> str:
    """Return the URL that `start_child` has passed on."""
    with os.fdopen(fd, "rb") as pipe:
        return pipe.read().decode()


def announce(fd: int, announcement: Announcement) -> None:
    """Tell the keeper of this process; one that is gone needs no telling."""
    with suppress(OSError):
        os.write(fd, msgspec.json.encode(announcement) + b"\n")


def death_words(code: int) -> str:
    """Return how a process ended, from its exit code."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
