"""Ports that no other test run, and no outgoing connection, takes."""

from __future__ import annotations

import fcntl
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

_PORTS = range(11_000, 21_000)
"""Below the systems' range for outgoing connections, and so is the range 10,000 above it, where a
node of a Redis cluster listens for the other nodes."""
_BUS_OFFSET = 10_000
_FOLDER = Path(tempfile.gettempdir()) / "toril-test-ports"
_held: dict[int, IO[bytes]] = {}


def reserve_port() -> int:
    """Return a free port that stays ours, also while nobody listens on it, until it is given back.

    A locked file says so to test runs beside this one. A process that dies gives its ports back.
    """
    _FOLDER.mkdir(mode=0o777, exist_ok=True)
    start = random.randrange(len(_PORTS))
    for step in range(len(_PORTS)):
        port = _PORTS[(start + step) % len(_PORTS)]
        if port in _held:
            continue
        file = (_FOLDER / str(port)).open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        if _is_free(port) and _is_free(port + _BUS_OFFSET):
            _held[port] = file
            return port
        file.close()
    raise AssertionError("no port is free")


def give_back_port(port: int) -> None:
    """Let others have a port that `reserve_port` returned. Any other is left as it is."""
    file = _held.pop(port, None)
    if file is not None:
        file.close()


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
