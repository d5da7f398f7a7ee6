"""Small and read-only file systems for tests, where the machine lets us make them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size_kb: int) -> Iterator[Path]:
    """Put a file system of so many kilobytes at `folder`; skips the test where that is refused."""
    _run("mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _unmount(folder)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Make a folder read-only, for root too; skips the test where that is refused."""
    _run("mount", "--bind", str(folder), str(folder))
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield folder
    finally:
        _unmount(folder)


def _unmount(folder: Path) -> None:
    # Lazily: a test that failed has files open, and its own failure is the one to see.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        pytest.skip(f"this machine has no {error.filename}")
    if done.returncode != 0:
        pytest.skip(f"mounting needs root: {done.stderr.strip()}")
