"""The processes below this one, as far as a test may have left them behind."""

from __future__ import annotations

import psutil

_SHARED = ("redis-server", "valkey-server", "postgres")
"""Servers that one test starts for all that follow."""


def own_children() -> list[psutil.Process]:
    """Return the processes below this one, without the servers that tests share."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if not child.name().startswith(_SHARED):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found
