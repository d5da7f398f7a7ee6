"""The processes below this one, as far as the running test may have left them behind."""

from __future__ import annotations

import psutil

_SERVERS = ("redis-server", "valkey-server", "postgres")
"""Servers that one test starts for all that follow."""
_before: set[psutil.Process] = set()


def remember_children() -> None:
    """Note which processes there are: they are not of the test that begins now.

    Servers of a session, the children that media work keeps and the resource tracker of
    `multiprocessing` live until the process of the tests ends.
    """
    _before.clear()
    _before.update(psutil.Process().children(recursive=True))


def own_children() -> list[psutil.Process]:
    """Return the processes below this one that the running test has started, without servers."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if child not in _before and not child.name().startswith(_SERVERS):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found
