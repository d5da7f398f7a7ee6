"""Programs that tests talk to and that pip does not bring: installed by the machine's packager."""

from __future__ import annotations

import subprocess


def install(package: str) -> str:
    """Install one of the system's packages; return what went wrong, or an empty text."""
    trouble = ""
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return "this machine has no apt-get"
        trouble = f"`{' '.join(command)}`: {done.stderr.strip()[-500:]}" if done.returncode else ""
    return trouble
