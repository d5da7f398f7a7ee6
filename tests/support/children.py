"""The processes below this one, as far as the running test may have left them behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil

_SERVERS = ("redis-server", "valkey-server", "postgres")
"""Servers that one test starts for all that follow."""
_before: list[set[psutil.Process]] = []
"""What the running test found when it began; empty for one that does not ask."""


@contextmanager
def remembered_children() -> Iterator[None]:
    """Note which processes there are: they are not of the test that begins now.

    Servers of a session, the children that media work keeps and the resource tracker of
    `multiprocessing` live until the process of the tests ends.
    """
    _before.append(set(psutil.Process().children(recursive=True)))
    try:
        yield
    finally:
        _before.clear()


def own_children() -> list[psutil.Process]:
    """Return the processes below this one that the running test has started, without servers.

    Its file has to use the fixture `children_before`.
    """
    (before,) = _before
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if child not in before and not child.name().startswith(_SERVERS):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found
