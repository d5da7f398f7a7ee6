"""What to tell of a child process that ended in the middle of an attempt."""

from __future__ import annotations

import signal

from toril.core.errors import ProcessDiedError
from toril.core.process_memory import MIB
from toril.engine.context import Facts
from toril.engine.runners.channel import EXIT_UNHEARD

_NATIVE_CRASHES = ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGSYS")


def died(facts: Facts, pid: int, ending: str, *, rss_bytes: int) -> ProcessDiedError:
    """Return the error for an attempt whose child process ended.

    Parameters:
        facts: The attempt.
        pid: The process.
        ending: How it ended, see `how`.
        rss_bytes: Its resident memory when it was last seen.
    """
    return ProcessDiedError(
        f"job {facts.job_id} of queue {facts.queue!r}, task {facts.task!r}: its process {pid}"
        f" {ending}; resident memory when last seen: {rss_bytes / MIB:.0f} MiB"
    )


def how(code: int | None, *, out_of_memory: bool) -> str:
    """Return how a process ended, and what to do about it, as the end of a sentence.

    Parameters:
        code: Its exit code; negative: the signal that ended it. None: it has not ended yet.
        out_of_memory: Whether the kernel killed some process for want of memory in its lifetime.
    """
    if code is None:
        return "stopped answering and could not be ended (uninterruptible input or output?)"
    if code == EXIT_UNHEARD:
        return f"ended (exit code {code}): the task closed the descriptor that leads to its worker"
    if code >= 0:
        return f"ended with exit code {code}: the task, or a library of it, left without returning"
    name = signal_name(-code)
    if name == "SIGKILL" and out_of_memory:
        return "was killed by SIGKILL: the kernel ran out of memory (lower the concurrency)"
    if name == "SIGKILL":
        return "was killed by SIGKILL, from outside"
    if name in _NATIVE_CRASHES:
        return f"was ended by {name}: a crash in native code"
    return f"was ended by {name}"


def signal_name(number: int) -> str:
    """Return a signal's name, or `signal 40` for one without."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
