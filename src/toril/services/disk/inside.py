"""Opens files below a folder by a path from outside, without any way out of the folder.

A path is refused by its text (`..`, NUL, another folder) and by the links on its way. Each step is
opened relative to the one before and without following links, so a link that is put there between
check and use is not followed either.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from io import BufferedReader
from pathlib import Path, PurePosixPath
from types import TracebackType

from toril.services.disk.folders import READ_FILE, Folder
from toril.services.unusable import UnusableInputError, named

_STEP = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class InsideFile:
    """A regular file below a root, open for reading. Close it, or use it in a `with` statement."""

    def __init__(self, root: Path, parts: tuple[str, ...], folder_fd: int, fd: int) -> None:
        self._parts = parts
        self._folder_fd = folder_fd
        self._fd = fd
        self.path = root.joinpath(*parts)
        self.size_bytes = os.fstat(fd).st_size

    @property
    def name(self) -> str:
        """The file's own name."""
        return self._parts[-1]

    @property
    def relative(self) -> str:
        """The path from the root, with `/` between its parts."""
        return "/".join(self._parts)

    def read(self, max_bytes: int) -> bytes:
        """Return the whole content.

        Parameters:
            max_bytes: The most to read, in bytes.

        Raises:
            UnusableInputError: The file is bigger.
        """
        # One byte more than allowed: a file that grows meanwhile is caught too.
        with open(self._fd, "rb", closefd=False) as file:
            content = b"" if self.size_bytes > max_bytes else file.read(max_bytes + 1)
        if self.size_bytes > max_bytes or len(content) > max_bytes:
            size = f"{max(self.size_bytes, len(content)):,}"
            reason = f"it has {size} bytes, over the {max_bytes:,} that are allowed (max_bytes)"
            raise UnusableInputError(named("file", self.name), reason)
        return content

    def reopened(self) -> BufferedReader:
        """Return the file open for reading from its beginning, also once this is closed."""
        file = open(os.dup(self._fd), "rb")
        file.seek(0)
        return file

    def remove(self) -> None:
        """Remove the file from its folder; nothing happens if somebody else did.

        Another file that was given the name meanwhile stays.
        """
        with suppress(FileNotFoundError):
            if self._has_its_name():
                os.unlink(self.name, dir_fd=self._folder_fd)

    def move_to(self, folder: Folder, name: str) -> None:
        """Move the file into a folder, where it appears whole or not at all.

        Raises:
            OSError: It could not be moved and is where it was.
        """
        if not self._has_its_name():
            self._copy_to(folder, name)
            return
        try:
            os.rename(self.name, name, src_dir_fd=self._folder_fd, dst_dir_fd=folder.fd)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy_to(folder, name)
            self.remove()

    def _has_its_name(self) -> bool:
        """Whether the name is still this file's, and not that of one that came after it."""
        try:
            found = os.stat(self.name, dir_fd=self._folder_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        mine = os.fstat(self._fd)
        return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)

    def _copy_to(self, folder: Folder, name: str) -> None:
        with open(self._fd, "rb", closefd=False) as file, folder.replacing(name) as to:
            file.seek(0)
            shutil.copyfileobj(file, to)

    def close(self) -> None:
        """Let go of the file and its folder."""
        os.close(self._fd)
        os.close(self._folder_fd)

    def __enter__(self) -> InsideFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_inside(root: Path, path: str, *, field: str) -> InsideFile:
    """Open a file that must lie below `root`.

    Parameters:
        root: The folder. It may itself be reached through links; nothing below it may.
        path: From the root, or absolute if it lies there.
        field: What the caller calls the path, for the error.

    Raises:
        UnusableInputError: The path leads out, goes through a link, or is not a regular file.
            Nothing was read.
        FileNotFoundError: There is no such file.
        NotADirectoryError: There is no root: a volume that is not mounted, or a wrong setting.
    """
    subject = named(field, path)
    parts = inside_parts(root, path, subject)
    try:
        folder_fd = os.open(root, _STEP & ~os.O_NOFOLLOW)
    except FileNotFoundError:
        raise NotADirectoryError(errno.ENOTDIR, "there is no such folder", str(root)) from None
    try:
        for part in parts[:-1]:
            step_fd = _open_step(part, folder_fd, subject)
            os.close(folder_fd)
            folder_fd = step_fd
        return InsideFile(root, parts, folder_fd, _open_regular(parts[-1], folder_fd, subject))
    except BaseException:
        os.close(folder_fd)
        raise


def inside_parts(root: Path, path: str, subject: str) -> tuple[str, ...]:
    """Return the parts of `path` below `root`, judged by the text alone.

    Raises:
        UnusableInputError: It is empty, holds NUL or `..`, or is absolute and elsewhere.
    """
    allowed = f"path not allowed: it has to lie inside {str(root)!r}"
    if not path or "\0" in path or not _spellable(path):
        raise UnusableInputError(subject, f"{allowed} and be a file's name")
    pure = PurePosixPath(path)
    if ".." in pure.parts:
        raise UnusableInputError(subject, f"{allowed}, without '..'")
    if pure.is_absolute():
        for base in (root, root.resolve()):
            if pure.is_relative_to(base):
                pure = pure.relative_to(base)
                break
        else:
            raise UnusableInputError(subject, allowed)
    if not pure.parts:
        raise UnusableInputError(subject, f"{allowed}, not be the folder itself")
    return pure.parts


def _spellable(path: str) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def _open_step(part: str, folder_fd: int, subject: str) -> int:
    try:
        return os.open(part, _STEP, dir_fd=folder_fd)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            reason = f"path not allowed: {part!r} is a link, or not a folder"
            raise UnusableInputError(subject, reason) from error
        raise _missing_if_too_long(error) from error


def _open_regular(part: str, folder_fd: int, subject: str) -> int:
    try:
        fd = os.open(part, READ_FILE, dir_fd=folder_fd)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnusableInputError(subject, "path not allowed: it is a link") from error
        if error.errno in (errno.ENXIO, errno.EOPNOTSUPP):  # a socket
            raise UnusableInputError(subject, "it is not a regular file") from error
        raise _missing_if_too_long(error) from error
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise UnusableInputError(subject, "it is not a regular file")


def _missing_if_too_long(error: OSError) -> OSError:
    # A name that no file can have is a file that is not there.
    if error.errno == errno.ENAMETOOLONG:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return error
