"""Programs that end with whoever started them, also where that one is killed."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading

STILL_OURS = '[ "$PPID" = "$0" ] && exec "$@"'
"""A shell script: run the command unless who started it died before the kernel was told."""


def dies_with_us(how: signal.Signals = signal.SIGKILL) -> list[str]:
    """Return what to put before a command, so that the kernel ends it when this process dies.

    Parameters:
        how: By which signal.

    Returns:
        Nothing, where there is no such thing.
    """
    # It is bound to the thread that starts the program; only the main one lives long enough.
    is_main = threading.current_thread() is threading.main_thread()
    if not sys.platform.startswith("linux") or not is_main:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return []
    watched = [setpriv, "--pdeathsig", how.name.removeprefix("SIG"), "--"]
    return [*watched, "/bin/sh", "-c", STILL_OURS, str(os.getpid())]
