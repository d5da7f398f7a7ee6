"""No child outlives its worker, however the worker ends and whatever the child is doing.

The worker holds the other end of a pipe that nobody ever writes to. When the worker is gone, even
by SIGKILL, the pipe closes. On Linux the kernel itself then kills the child's process group: no
thread of ours has to get the interpreter's lock from native code that does not give it away, and
programs that the task started end as well. Elsewhere a thread waits for the same moment.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
from contextlib import suppress

PR_SET_PDEATHSIG = 1  # prctl(2)


def end_with_worker(fd: int) -> None:
    """See to it that this process, the leader of its own group, ends when the pipe `fd` closes."""
    os.set_inheritable(fd, False)
    if not _kernel_watches(fd):
        watch_in_thread(fd)
    elif _is_closed(fd):  # the worker ended before the kernel was told
        os._exit(1)


def watch_in_thread(fd: int) -> None:
    """Start a thread that kills this process's group when the pipe `fd` closes."""
    threading.Thread(target=_wait_and_kill, args=(fd,), name="toril-lifeline", daemon=True).start()


def _kernel_watches(fd: int) -> bool:
    if sys.platform != "linux":
        return False
    try:
        # fcntl(2): a signal of our choice, to our group, when something happens to the pipe.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(fd, fcntl.F_SETOWN, -os.getpgrp())
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    except OSError:
        return False
    _follow_parent()
    return True


def _follow_parent() -> None:
    # A second fence: a process that the worker forked for another purpose may hold the pipe open.
    with suppress(ImportError, OSError, AttributeError):
        import ctypes  # here: not every build has it

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _is_closed(fd: int) -> bool:
    try:
        return os.read(fd, 1) == b""
    except BlockingIOError:
        return False


def _wait_and_kill(fd: int) -> None:
    with suppress(OSError):  # a task that closes all descriptors closes this one too
        os.read(fd, 1)
        os.killpg(0, signal.SIGKILL)
