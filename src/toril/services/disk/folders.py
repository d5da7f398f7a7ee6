"""Private folders, opened by descriptor, in which no link is followed.

Anybody who may write there could put a link in place of one of our folders or files, and make us
write elsewhere. So each step below the root is opened relative to the one before, and links are
refused.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from toril.services.disk.writing import ASIDE_PREFIX, ASIDE_SUFFIX, make_folder, sync_folder

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a named pipe without a writer would hold the open for ever.
READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use new folders and files. Existing ones keep their permissions."""

    folder_mode: int
    file_mode: int


PRIVATE = Access(0o700, 0o600)
"""Only the user of this process."""
GROUP = Access(0o2770, 0o660)
"""The folder's group, too. New files in the folder belong to that group."""


class Folder:
    """An open folder. Close it, or use it in a `with` statement."""

    def __init__(self, path: Path, fd: int, access: Access) -> None:
        self.path = path
        """Where it was when it was opened; for messages."""
        self.fd = fd
        self._access = access

    def child(self, name: str) -> Folder:
        """Open a folder in this one; made if it is not there.

        Raises:
            NotADirectoryError: It is a link, or no folder.
        """
        with suppress(FileExistsError):
            os.mkdir(name, self._access.folder_mode, dir_fd=self.fd)
            made = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=self.fd)
            os.fchmod(made, self._access.folder_mode)  # whatever the umask says
            self.sync()
            return Folder(self.path / name, made, self._access)
        return self.existing_child(name)

    def existing_child(self, name: str) -> Folder:
        """Open a folder in this one.

        Raises:
            FileNotFoundError: There is none.
            NotADirectoryError: It is a link, or no folder.
        """
        try:
            fd = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=self.fd)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                reason = "it is no folder, or a link, which is not followed"
                raise NotADirectoryError(errno.ENOTDIR, reason, str(self.path / name)) from None
            raise
        return Folder(self.path / name, fd, self._access)

    def names(self) -> list[str]:
        """Return what is in the folder."""
        return os.listdir(self.fd)

    def has(self, name: str) -> bool:
        """Whether something of this name is there, be it a link that leads nowhere."""
        try:
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def create(self, name: str) -> int:
        """Make a file and return its descriptor, open for writing.

        Raises:
            FileExistsError: There is something of this name.
        """
        fd = os.open(name, _NEW_FILE, self._access.file_mode, dir_fd=self.fd)
        os.fchmod(fd, self._access.file_mode)
        return fd

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole and durably; it replaces any file of that name."""
        with self.replacing(name) as file:
            file.write(content)
        self.sync()

    @contextmanager
    def replacing(self, name: str) -> Iterator[BinaryIO]:
        """Give a file to write into. It gets its name, replacing any other, when the block ends.

        The content is on disk by then; the name is once `sync` was called. If the block raises,
        nothing is left behind.
        """
        aside = f"{ASIDE_PREFIX}{name}.{secrets.token_hex(4)}{ASIDE_SUFFIX}"
        fd = self.create(aside)
        try:
            with open(fd, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.rename(aside, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(aside, dir_fd=self.fd)
            raise

    def read(self, name: str, max_bytes: int) -> bytes | None:
        """Return a file's content; None if it is a link, no regular file, or larger."""
        try:
            fd = os.open(name, READ_FILE, dir_fd=self.fd)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENOENT):
                return None
            raise
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            content = file.read(max_bytes + 1)
        return content if len(content) <= max_bytes else None

    def lend(self, name: str) -> None:
        """Set the folder's permissions on a file that was moved here, if the file is ours."""
        with suppress(OSError):  # a link, or another user's; the folder itself protects it
            fd = os.open(name, READ_FILE, dir_fd=self.fd)
            try:
                os.fchmod(fd, self._access.file_mode)
            finally:
                os.close(fd)

    def sync(self) -> None:
        """Wait until the disk has the names in the folder."""
        os.fsync(self.fd)

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self.fd)

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_folder(root: Path, access: Access = PRIVATE) -> Folder:
    """Open a folder that an operator chose; made, with those above it, if it is not there.

    Parameters:
        root: The folder. It may itself be reached through links.
        access: Who may use what is made. Folders above `root` are made as the umask says.
    """
    try:
        return existing_folder(root, access)
    except FileNotFoundError:
        make_folder(root.parent)
    with suppress(FileExistsError):
        os.mkdir(root, access.folder_mode)
        made = existing_folder(root, access)
        os.fchmod(made.fd, access.folder_mode)  # whatever the umask says
        sync_folder(root.parent)
        return made
    return existing_folder(root, access)


def existing_folder(root: Path, access: Access = PRIVATE) -> Folder:
    """Open a folder that an operator chose.

    Raises:
        FileNotFoundError: There is none.
    """
    return Folder(root, os.open(root, _FOLDER), access)
