"""The child's end of the socket to its worker.

Works on the bare descriptor, since a task may do anything to it: close all descriptors, open
another file under the same number, fork.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import NoReturn

from toril.core.errors import TorilError
from toril.engine.context import TaskMessage
from toril.engine.context_flows import FlowAsked
from toril.engine.runners.child_logs import LogRecorded
from toril.engine.runners.frames import HEADER_BYTES, frame_of, length_of

EXIT_UNHEARD = 76
"""The exit code of a child that cannot reach its worker any more. EX_PROTOCOL of sysexits(3)."""


class Channel:
    """Frames from and to the worker; what tasks say is sent from any thread."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        self._fd = fd
        self._identity = _identity(fd)
        # What is garbage-collected while a frame is sent may log: the same thread comes back here.
        self._lock = threading.RLock()
        self._sending = False
        self._attempt = 0
        self._running = False
        self._hung_up = False
        # A forked copy that held the socket open would hide this process's end from the worker.
        os.register_at_fork(after_in_child=self._leave)

    def receive(self) -> bytes | None:
        """Return the next frame's message. None: the worker hung up."""
        header = self._read(HEADER_BYTES)
        return None if header is None else self._read(length_of(header))

    def begin(self) -> int:
        """Return the number under which the attempt that begins now may speak."""
        self._attempt += 1
        self._running = True
        return self._attempt

    def say(self, attempt: int, said: TaskMessage) -> None:
        """Send what a task says. Once its attempt has ended, nobody listens: it goes nowhere.

        A thread that a task left running must not speak for the next job.

        Raises:
            TorilError: In a process that the task forked.
        """
        self._refuse_copies()
        frame = frame_of(said)
        with self._lock:
            if self._running and attempt == self._attempt:
                self.send(frame)

    def ask(self, attempt: int, said: TaskMessage | FlowAsked) -> bytes:
        """Send what a task asks for, and return the message that the worker answers.

        Raises:
            TorilError: Its attempt has ended; or as `say`.
        """
        self._refuse_copies()
        frame = frame_of(said)
        with self._lock:
            if not self._running or attempt != self._attempt:
                raise TorilError(
                    "a follow-up comes too late: its attempt has ended, and nothing is added in its"
                    " name any more"
                )
            self.send(frame)
            answer = self.receive()  # nobody else reads while an attempt runs
        if answer is None:
            self._give_up()
        return answer

    def _refuse_copies(self) -> None:
        if self._fd < 0:
            raise TorilError(
                "a process that a task forked cannot speak for its job: report progress, log and"
                " enqueue from the task itself"
            )

    def log(self, said: LogRecorded) -> bool:
        """Send what was logged, from any thread; return whether the worker still listens."""
        if self._fd < 0 or self._hung_up:  # in a process that the task forked; or at the end
            return False
        frame = frame_of(said)
        with self._lock:
            if self._sending:
                return False
            try:
                return _identity(self._fd) == self._identity and self._write(frame)
            except OSError:
                return False

    def hang_up(self) -> None:
        """Say nothing more: the worker has gone, or needs this process no longer."""
        self._hung_up = True

    def finish(self, answer: bytes) -> None:
        """Send the attempt's last frame."""
        with self._lock:
            self._running = False
            self.send(answer)

    def send(self, frame: bytes) -> None:
        """Write a frame. Ends the process if the worker cannot be reached."""
        try:
            if _identity(self._fd) != self._identity:  # the number is another file's by now
                self._give_up()
            self._write(frame)
        except OSError:
            self._give_up()

    def _write(self, frame: bytes) -> bool:
        self._sending = True
        rest = memoryview(frame)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        self._sending = False
        return True

    def _read(self, size: int) -> bytes | None:
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            count = os.readv(self._fd, [rest])
            if not count:
                return None
            rest = rest[count:]
        return bytes(data)

    def _leave(self) -> None:
        fd, self._fd = self._fd, -1
        with suppress(OSError):
            if _identity(fd) == self._identity:
                os.close(fd)

    @staticmethod
    def _give_up() -> NoReturn:
        os._exit(EXIT_UNHEARD)


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
