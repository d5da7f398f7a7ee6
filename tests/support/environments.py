"""Virtual environments for what must not share ours, made at a test's command."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_READY = ".toril-ready"


def python_with(requirements: Sequence[str], folder: Path) -> Path:
    """Return the interpreter of an environment; make it if it is not there as wanted.

    Those who want it at the same time make it once: the others wait.

    Parameters:
        requirements: What is installed in it.
        folder: Where it is.
    """
    python = folder / "bin" / "python"
    ready = folder / _READY
    wanted = f"{' '.join(requirements)} {sys.version}"
    whose = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    lock = Path(tempfile.gettempdir()) / f"toril-venv-{os.getuid()}-{whose}.lock"
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if ready.is_file() and ready.read_text("utf-8") == wanted:
            return python
        # By the pip that is here: to put one into each environment takes longer than all else.
        _run(sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder))
        pip = (sys.executable, "-m", "pip", "--python", str(python))
        _run(*pip, "install", "--quiet", *requirements)
        ready.write_text(wanted, "utf-8")
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"`{' '.join(command)}`: {done.stderr[-2000:]}"
