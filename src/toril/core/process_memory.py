"""How much memory a process holds, and whether the kernel ran out of it.

Read from `/proc` where there is one; elsewhere only a process's own peak is known.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

MIB = 1024 * 1024
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# The unit of ru_maxrss: getrusage(2) of Linux says kilobytes, that of macOS says bytes.
_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


def own_resident_bytes() -> int:
    """Return this process's resident memory; without `/proc`, its peak."""
    found = resident_bytes("self")
    if found is not None:
        return found
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_BYTES


def resident_bytes(pid: int | str) -> int | None:
    """Return a process's resident memory. None: it has ended, or there is no `/proc`.

    Source:
        proc(5), /proc/pid/statm: sizes in pages, the second is the resident one.
    """
    try:
        fd = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        sizes = os.read(fd, 128).split()
    except OSError:  # it ended between the two calls
        return None
    finally:
        os.close(fd)
    # A process that has ended, but was not waited for, has no pages left.
    return int(sizes[1]) * _PAGE_BYTES or None


def out_of_memory_kills() -> int:
    """Return how many processes the kernel has killed for want of memory; 0 where it does not say.

    Source:
        Linux, mm/vmstat.c: `oom_kill`, those within a memory cgroup included.
    """
    try:
        with open("/proc/vmstat", "rb") as file:
            for line in file:
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def limit_address_space(max_bytes: int) -> None:
    """Let this process have at most `max_bytes` of address space: more is a `MemoryError`."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        max_bytes = min(max_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))


@contextmanager
def growth_limited(max_bytes: int) -> Iterator[bool]:
    """Let this process allocate at most `max_bytes` more in the block: more is a `MemoryError`.

    For the main thread of a child process: the limit is the whole process's. Limits what programs
    allocate, not the libraries that they load. Does nothing in other threads, whose neighbours it
    would limit, nor where the kernel does not count (macOS).

    Yields:
        Whether the limit holds.

    Source:
        setrlimit(2): RLIMIT_DATA includes private mappings since Linux 4.7.
    """
    held = _data_bytes() if threading.current_thread() is threading.main_thread() else None
    if held is None:
        yield False
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = held + max_bytes
    limits = [each for each in (wanted, soft, hard) if each != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield True
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int | None:
    """Return how much this process has allocated. None: there is no `/proc`.

    Source:
        proc(5), /proc/pid/statm: the sixth is data and stack, in pages.
    """
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[5]) * _PAGE_BYTES
    except OSError:
        return None
