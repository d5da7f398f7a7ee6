"""Where Debian's Chromium is, and how tests start it."""

from __future__ import annotations

import shutil

from tests.support.packages import install

ARGUMENTS = [
    "--no-sandbox",  # tests may run as root, in containers
    "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def chromium_binary() -> str:
    """Return the path of Chromium; install it if the machine has none."""
    trouble = ""
    found = _find()
    if found is None:
        trouble = install("chromium")
        found = _find()
    assert found is not None, f"Chromium is not on this machine: {trouble}"
    return found


def _find() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
