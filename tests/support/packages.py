"""Programs that tests talk to and that pip does not bring: installed by the machine's packager."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from pathlib import Path


def install(package: str) -> str:
    """Install one of the system's packages; return what went wrong, or an empty text.

    The packager serves one at a time and refuses the others: tests that run side by side wait here.
    """
    trouble = ""
    with (Path(tempfile.gettempdir()) / f"toril-packages-{os.getuid()}.lock").open("ab") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package],
        ):
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False)
            except FileNotFoundError:
                return "this machine has no apt-get"
            failed = done.returncode != 0
            trouble = f"`{' '.join(command)}`: {done.stderr.strip()[-500:]}" if failed else ""
    return trouble
