"""One child process as its worker sees it: started, spoken to, ended.

Speaks over a socket pair, straight on the event loop's readers: no transport, no streams.
Who gets which child, and how many there are, `processes.py` decides.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

from toril.core.errors import TorilError
from toril.core.process_memory import out_of_memory_kills, resident_bytes
from toril.engine.context import FollowUp, LineLogged, NamedFollowUp, ProgressMade
from toril.engine.runners.child_logs import LogRecorded, replay
from toril.engine.runners.deaths import died, how
from toril.engine.runners.errors import image_of
from toril.engine.runners.frames import (
    FrameReader,
    FromChild,
    Heard,
    ProcessCall,
    Raised,
    Ready,
    Returned,
    Setup,
    frame_of,
)
from toril.engine.runners.interpreter import (
    CHILD_VARIABLE,
    EXIT_RESTARTED,
    NoChildError,
    command_for,
    restarted,
)

READ_BYTES = 256 * 1024
SAMPLE_S = 0.5
"""How often a busy child's memory is looked at: should it die, the figure can be told."""
PAUSE_S = 0.01
"""Between two looks at whether there is room for what a child says."""
FIRST_LOOK_S = 0.001
LONGEST_LOOK_S = 0.05
"""Between two looks at whether a process has ended, in seconds; doubles from the first."""
LAST_WAIT_S = 1.0
"""How long the loop's own end waits for a killed process."""

Answer: TypeAlias = Returned | Raised | None
"""None: the child ended before it answered."""


class ChildProcess:
    """A child process. Starts when made, on the running loop, without waiting for it.

    Raises:
        OSError: If there is no process, descriptor or memory left for one.
        NoChildError: If this program can have none.
    """

    def __init__(
        self,
        setup: Setup,
        on_lost: Callable[[ChildProcess], None],
        is_full: Callable[[], bool] = lambda: False,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_lost = on_lost
        self._is_full = is_full
        self._pausing: asyncio.TimerHandle | None = None
        first = frame_of(setup)
        self._process, self._socket, self._lifeline = _start()
        self._reader = FrameReader()
        self._buffer = bytearray(READ_BYTES)
        self._answer: asyncio.Future[Answer] | None = None
        self._emit: Callable[[Any], Any] | None = None
        self._answering: asyncio.Task[None] | None = None
        self._unsent = memoryview(b"")
        self._kills_before = out_of_memory_kills()
        self.call: ProcessCall | None = None
        self.lost = False
        self.ready = False
        self.attempts = 0
        self.rss_bytes = 0
        self.baseline_bytes: int | None = None
        """Resident memory after the first attempt, when what the task imports is in."""
        self._loop.add_reader(self._socket, self._hear)
        self._send(first)

    @property
    def pid(self) -> int:
        """The process's id, and its group's."""
        return self._process.pid

    async def ask(self, call: ProcessCall, frame: bytes, emit: Callable[[Any], Any]) -> Answer:
        """Have one call run. What the task says goes to `emit` before this returns.

        Once this was cancelled, or `emit` raised, the child is good for nothing but `kill`.
        """
        self.call, self._emit = call, emit
        self._answer = self._loop.create_future()
        self._sampling = self._loop.call_later(SAMPLE_S, self._sample)
        try:
            self._send(frame)
            answer = await self._answer
        finally:
            self._sampling.cancel()
            self.call = self._emit = self._answer = None
        if answer is not None:
            self.attempts += 1
            self.rss_bytes = answer.rss_bytes
            if self.baseline_bytes is None:
                self.baseline_bytes = answer.rss_bytes
        return answer

    def seen_rss_bytes(self) -> int:
        """Return its resident memory now, or as it was last seen."""
        self.rss_bytes = resident_bytes(self.pid) or self.rss_bytes
        return self.rss_bytes

    def obituary(self, call: ProcessCall, code: int | None, *, closed: bool) -> TorilError:
        """Return the error for the call during which it ended with `code`.

        Parameters:
            call: The call.
            code: Its exit code; negative: the signal that ended it. None: it has not ended yet.
            closed: Whether its worker was closing.
        """
        if not self.ready and code == EXIT_RESTARTED:
            return NoChildError(restarted())
        if closed:
            ending = "was killed by SIGKILL: its worker closed"
        elif not self.ready and code is not None and code >= 0:
            ending = f"ended with exit code {code} before it was ready: its stderr says why"
        else:
            ending = how(code, out_of_memory=out_of_memory_kills() > self._kills_before)
        return died(call.facts, self.pid, ending, rss_bytes=self.rss_bytes)

    def kill(self) -> None:
        """Kill it and all that its tasks started, now. `end` has to follow."""
        self.hang_up()
        # Only while it is not reaped: afterwards the number may be somebody else's.
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):  # macOS, of a zombie's group
                os.killpg(self.pid, signal.SIGKILL)

    def hang_up(self) -> None:
        """Close the socket. An idle child ends by itself; a call in progress has lost it."""
        if not self.lost:
            self.lost = True
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)

    async def end(self, patience_s: float) -> int:
        """Hang up, give it `patience_s` seconds to leave, kill its group, and reap it.

        Returns:
            Its exit code; negative: the signal that ended it.
        """
        self.hang_up()
        await self._until(self._has_exited, patience_s)
        self.kill()
        await self._until(lambda: self._process.poll() is not None, None)
        return self._process.returncode

    def bury(self) -> None:
        """Free what is left of it. Kills and reaps it here, if `end` was cut short."""
        self.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(LAST_WAIT_S)
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def _send(self, frame: bytes) -> None:
        # Never waited for: should the child end while it has not read all, its end is the answer.
        self._unsent = (
            memoryview(bytes(self._unsent) + frame) if self._unsent else memoryview(frame)
        )
        self._write()

    def _write(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:  # it is gone, which `_hear` is about to learn
            self._unsent = memoryview(b"")
        if self._unsent:
            self._loop.add_writer(self._socket, self._write)
        else:
            self._loop.remove_writer(self._socket)

    def _hear(self) -> None:
        try:
            count = self._socket.recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # reset: it ended with something unread
            count = 0
        try:
            # What is no frame means that the task wrote into a socket that is not its own.
            messages = self._reader.feed(memoryview(self._buffer)[:count]) if count else []
        except (ValueError, RecursionError):
            count, messages = 0, []
        for message in messages:
            self._take(message)
        if not count:
            idle = self._answer is None
            self.hang_up()
            if idle:
                self._on_lost(self)

    def _take(self, message: FromChild) -> None:
        if isinstance(message, Ready):
            self.ready = True
            self.rss_bytes = message.rss_bytes
            return
        if isinstance(message, LogRecorded):
            replay(message, self.pid)
            return
        if self._answer is None or self._answer.done() or self._emit is None:
            return
        if isinstance(message, Returned | Raised):
            self._answer.set_result(message)
            return
        try:
            reply = self._emit(message)
        except Exception as error:
            if isinstance(message, ProgressMade | LineLogged):
                self._answer.set_exception(error)  # the caller's; the call ends with it
                return
            self._send(frame_of(Heard(image_of(error))))  # the task learns it where it asked
            return
        if reply is not None:
            self._answering = self._loop.create_task(self._reply(reply))
        elif isinstance(message, FollowUp | NamedFollowUp):
            self._send(frame_of(Heard(None)))
        elif self._is_full():
            self._pause()

    async def _reply(self, answer: Awaitable[bytes]) -> None:
        """Send the answer to a question. The child reads nothing else until it has it."""
        try:
            heard = Heard(None, await answer)
        except Exception as error:
            heard = Heard(image_of(error))
        if not self.lost:
            self._send(frame_of(heard))

    def _pause(self) -> None:
        """Read no more until there is room for what it says: its task waits meanwhile."""
        if not self.lost and self._pausing is None:
            self._loop.remove_reader(self._socket)
            self._pausing = self._loop.call_later(PAUSE_S, self._read_again)

    def _read_again(self) -> None:
        self._pausing = None
        if self.lost:
            return
        if self._is_full():
            self._pausing = self._loop.call_later(PAUSE_S, self._read_again)
        else:
            self._loop.add_reader(self._socket, self._hear)

    def _sample(self) -> None:
        self.seen_rss_bytes()
        self._sampling = self._loop.call_later(SAMPLE_S, self._sample)

    def _has_exited(self) -> bool:
        # Looks without reaping, so that the group's number stays taken until it was killed.
        look = getattr(os, "waitid", None)  # macOS has none before Python 3.13
        if look is None:
            return True
        try:
            flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return look(os.P_PID, self.pid, flags) is not None
        except ChildProcessError:  # somebody else reaped it
            return True

    async def _until(self, holds: Callable[[], bool], patience_s: float | None) -> None:
        deadline_s = None if patience_s is None else self._loop.time() + patience_s
        look_s = FIRST_LOOK_S
        while not holds():
            if deadline_s is not None and self._loop.time() >= deadline_s:
                return
            await asyncio.sleep(look_s)
            look_s = min(look_s * 2, LONGEST_LOOK_S)


def _start() -> tuple[subprocess.Popen[bytes], socket.socket, int]:
    """Start the interpreter; return it, our end of the socket and our end of the lifeline."""
    ours, theirs = socket.socketpair()
    try:
        lifeline_theirs, lifeline_ours = os.pipe()
    except OSError:
        ours.close()
        theirs.close()
        raise
    fds = (theirs.fileno(), lifeline_theirs)
    path = [entry for entry in sys.path if isinstance(entry, str)]
    try:
        process = subprocess.Popen(
            command_for(fds, path),
            stdin=subprocess.DEVNULL,
            env={**os.environ, CHILD_VARIABLE: "1"},
            pass_fds=fds,
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        os.close(lifeline_ours)
        raise
    finally:
        theirs.close()
        os.close(lifeline_theirs)
    ours.setblocking(False)
    return process, ours, lifeline_ours
