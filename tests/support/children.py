"""The processes below this one, as far as a test may have left them behind."""

from __future__ import annotations

import psutil

_SHARED = ("redis-server", "valkey-server", "postgres")
"""Servers that one test starts for all that follow."""
_REUSED = "from toril.services.media.child import main"
"""What children run that media work keeps until its process ends."""


def own_children() -> list[psutil.Process]:
    """Return the processes below this one, without those that stay for all tests."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if not child.name().startswith(_SHARED) and _REUSED not in " ".join(child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found
