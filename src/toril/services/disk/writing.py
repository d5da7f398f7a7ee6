"""Writes files that appear whole or not at all: written aside, synced, then renamed."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from types import TracebackType

ASIDE_PREFIX = "."
ASIDE_SUFFIX = ".part"


class AsideFiles:
    """A set of files of one folder. None is visible under its name before `publish`.

    Leaving the `with` statement without `publish` removes what was written. A process that is
    killed leaves files named `.<name>.<random>.part`; `remove_asides` clears them.

    Parameters:
        folder: Where the files go; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pending: dict[Path, Path] = {}

    def __enter__(self) -> AsideFiles:
        make_folder(self._folder)
        return self

    def write(self, name: str, content: bytes) -> None:
        """Write one file aside and wait until the disk has it.

        Raises:
            OSError: There is no room, or another fault of the disk.
        """
        token = secrets.token_hex(4)
        aside = self._folder / f"{ASIDE_PREFIX}{name}.{token}{ASIDE_SUFFIX}"
        self._pending[aside] = self._folder / name
        with aside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def publish(self) -> None:
        """Give all files their names, replacing what had them, and make the names durable."""
        for aside, final in list(self._pending.items()):
            os.replace(aside, final)
            del self._pending[aside]
        sync_folder(self._folder)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for aside in self._pending:
            aside.unlink(missing_ok=True)


def remove_asides(folder: Path) -> None:
    """Remove what killed processes left in `folder`. Only for who alone may write there."""
    for aside in folder.glob(f"{ASIDE_PREFIX}*{ASIDE_SUFFIX}"):
        aside.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; the new names are durable."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in `folder`."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
