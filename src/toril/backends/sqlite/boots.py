"""Numbers the boots of hosts: a reading of the monotonic clock is valid within one boot only.

The monotonic clock restarts at each boot, and each host has its own. So the file stores the number
of the boot with each reading. If the number has changed, because the host was restarted or the file
was moved, the store uses the calendar instead.
"""

from __future__ import annotations

import ctypes
import hashlib
import sys
import uuid
from functools import cache
from pathlib import Path
from typing import Protocol, runtime_checkable

from toril.core.clock import Clock

_LINUX = Path("/proc/sys/kernel/random/boot_id")


@runtime_checkable
class Booted(Protocol):
    """A clock that says which boot it belongs to. Tests have one."""

    def boot_id(self) -> str:
        """Return a text that is unique to this boot of this host."""
        ...


def boot_of(clock: Clock) -> int:
    """Return the number of the boot that the clock's steady readings belong to."""
    return _number(clock.boot_id() if isinstance(clock, Booted) else _host_boot_id())


@cache
def _number(boot_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(boot_id.encode(), digest_size=6).digest())


@cache
def _host_boot_id() -> str:
    try:
        return _LINUX.read_text("ascii").strip()
    except OSError:
        # Unknown: readings are valid in this process only.
        return (_mac_boot_id() if sys.platform == "darwin" else None) or uuid.uuid4().hex


def _mac_boot_id() -> str | None:
    text = ctypes.create_string_buffer(64)
    size = ctypes.c_size_t(64)
    try:
        failed = ctypes.CDLL(None).sysctlbyname(
            b"kern.bootsessionuuid", text, ctypes.byref(size), None, ctypes.c_size_t(0)
        )
    except (OSError, AttributeError):
        return None
    return None if failed else text.value.decode("ascii", "replace") or None
