"""The files of a folder storage. Plain calls, for a thread; no event loop.

Each step below the root is opened relative to the one before, and no link is followed: a key leads
to a file below the root, whatever others have put there.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from toril.services.disk.folders import PRIVATE, READ_FILE, Access, Folder, open_folder
from toril.services.objects.conditions import check_there
from toril.services.objects.content import Digest
from toril.services.objects.describing import Description
from toril.services.objects.errors import (
    ObjectError,
    ObjectMissingError,
    StorageDeniedError,
    StorageFullError,
    StorageUnavailableError,
)
from toril.services.objects.folder_notes import (
    Note,
    etag_of,
    is_file,
    read_note,
    remove_note,
    write_note,
)
from toril.services.objects.keys import OWN_FOLDER
from toril.services.unusable import UnusableInputError, named

_TRIES = 50
"""How often a folder is made again that somebody removes because it is empty."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file of an object."""

    key: str
    stat: os.stat_result
    """Of the file."""
    note: Note | None

    @property
    def etag(self) -> str:
        """What tells its versions apart."""
        return etag_of(self.stat)


class FolderFiles:
    """The files below a root.

    Parameters:
        root: Made when it is first needed.
        access: Who may use what is made.
    """

    def __init__(self, root: Path, access: Access = PRIVATE) -> None:
        self.root = root
        self._access = access

    @contextmanager
    def own(self, name: str) -> Iterator[Folder]:
        """Open one of the storage's own folders."""
        with self._root() as root, root.child(OWN_FOLDER) as own, own.child(name) as folder:
            yield folder

    @contextmanager
    def _root(self) -> Iterator[Folder]:
        with open_folder(self.root, self._access) as root:
            yield root

    @contextmanager
    def parent(self, key: str, *, make: bool = False) -> Iterator[tuple[Folder, str]]:
        """Open the folder of a key, and give the name that the object has there.

        Raises:
            FileNotFoundError: It is not there, and `make` is not said.
            NotADirectoryError: A part of the way is a file or a link.
        """
        *steps, name = key.split("/")
        folder = open_folder(self.root, self._access)
        try:
            for step in steps:
                below = folder.child(step) if make else folder.existing_child(step)
                folder.close()
                folder = below
            yield folder, name
        finally:
            folder.close()

    def open(self, key: str) -> tuple[Found, BinaryIO]:
        """Open an object's file for reading."""
        with self.telling(key), self.parent(key) as (folder, name):
            for _ in range(_TRIES):
                file = open(os.open(name, READ_FILE, dir_fd=folder.fd), "rb", buffering=0)
                try:
                    found = self._noted(key, os.fstat(file.fileno()))
                    if found.note is not None or self._stays(folder, name, found):
                        return found, file
                except BaseException:
                    file.close()
                    raise
                file.close()
        raise self._restless(key)

    def find(self, key: str) -> Found:
        """Return an object's file and its note."""
        with self.telling(key), self.parent(key) as (folder, name):
            for _ in range(_TRIES):
                there = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
                found = self._noted(key, there)
                if found.note is not None or self._stays(folder, name, found):
                    return found
        raise self._restless(key)

    def _noted(self, key: str, found: os.stat_result) -> Found:
        if not is_file(found):
            raise FileNotFoundError(errno.ENOENT, "no file", key)
        with self.own("notes") as notes:
            return Found(key, found, read_note(notes, key, etag_of(found)))

    def _stays(self, folder: Folder, name: str, found: Found) -> bool:
        """Whether a file without a note has none, and was not replaced while we looked for it."""
        return etag_of(os.stat(name, dir_fd=folder.fd, follow_symlinks=False)) == found.etag

    def _restless(self, key: str) -> StorageUnavailableError:
        return StorageUnavailableError(
            f"object {key!r}: it is replaced faster than it can be read in {str(self.root)!r}"
        )

    def remove(self, key: str) -> None:
        """Remove an object, its note, and folders that are empty then."""
        with self.telling(key), self._lock(key):
            with suppress(FileNotFoundError, NotADirectoryError):
                with self.parent(key) as (folder, name):
                    if is_file(os.stat(name, dir_fd=folder.fd, follow_symlinks=False)):
                        os.unlink(name, dir_fd=folder.fd)
                        folder.sync()
                self._prune(key)
            with self.own("notes") as notes:
                remove_note(notes, key)

    def _prune(self, key: str) -> None:
        steps = key.split("/")[:-1]
        with suppress(OSError):  # until one is not empty
            while steps:
                with self.parent("/".join(steps)) as (folder, name):
                    os.rmdir(name, dir_fd=folder.fd)
                steps.pop()

    def upload(self, key: str) -> Upload:
        """Begin to store an object."""
        with self.telling(key), self.own("new") as new:
            while True:
                name = f"{secrets.token_hex(16)}.part"
                descriptor = new.create(name)
                fcntl.flock(descriptor, fcntl.LOCK_EX)  # `clear` sees that somebody is at it
                if os.fstat(descriptor).st_nlink:
                    return Upload(self, key, name, open(descriptor, "wb", buffering=0))
                os.close(descriptor)  # `clear` took it for one of the dead, just before the lock

    def publish(
        self,
        upload: Upload,
        description: Description,
        *,
        if_absent: bool,
        if_etag: str | None,
    ) -> Found:
        """Give an upload its key. See `ObjectStore.put`."""
        key = upload.key
        with self._lock(key):
            there_etag = None
            with suppress(ObjectMissingError):
                there_etag = self.find(key).etag
            check_there(key, there_etag, if_absent=if_absent, if_etag=if_etag)
            found = os.fstat(upload.file.fileno())
            note = Note(
                etag=etag_of(found),
                content_type=description.content_type,
                sha256=upload.digest.sha256,
                filename=description.filename,
                metadata=description.metadata,
            )
            with self.own("notes") as notes:
                write_note(notes, key, note, there_etag)
            for tries in range(_TRIES):
                try:
                    with self.own("new") as new, self.parent(key, make=True) as (folder, name):
                        os.rename(upload.name, name, src_dir_fd=new.fd, dst_dir_fd=folder.fd)
                        folder.sync()
                    break
                except FileNotFoundError:
                    if tries == _TRIES - 1:
                        raise
            return Found(key, found, note)

    def clear(self) -> None:
        """Remove what uploads of killed processes have left."""
        with suppress(OSError), self.own("new") as new:
            for name in new.names():
                with suppress(OSError):
                    descriptor = os.open(name, READ_FILE, dir_fd=new.fd)
                    try:
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        os.unlink(name, dir_fd=new.fd)
                    finally:
                        os.close(descriptor)

    def walk(self, prefix: str, after: str | None) -> Iterator[Found]:
        """Yield objects below a prefix, in the order of their keys' bytes."""
        with self.telling(prefix):
            try:
                if prefix:
                    with self.parent(prefix) as (parent, name), parent.existing_child(name) as top:
                        yield from self._below(top, f"{prefix}/", after)
                else:
                    with self._root() as top:
                        yield from self._below(top, "", after)
            except (FileNotFoundError, NotADirectoryError):
                return

    def _below(self, folder: Folder, before: str, after: str | None) -> Iterator[Found]:
        there: list[tuple[bytes, str, os.stat_result]] = []
        for name in folder.names():
            with suppress(FileNotFoundError, UnicodeEncodeError):
                found = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
                if not before and name == OWN_FOLDER:
                    continue
                if is_file(found):
                    there.append((f"{before}{name}".encode(), name, found))
                elif stat.S_ISDIR(found.st_mode):
                    there.append((f"{before}{name}/".encode(), name, found))
        limit = b"" if after is None else after.encode()
        for place, name, found in sorted(there, key=lambda one: one[0]):
            if place.endswith(b"/"):
                # All of a folder lies before `after` if that goes on behind the folder's last key.
                if place <= limit and not limit.startswith(place):
                    continue
                with suppress(FileNotFoundError, NotADirectoryError):
                    with folder.existing_child(name) as below:
                        yield from self._below(below, place.decode(), after)
            elif place > limit:
                yield Found(place.decode(), found, None)

    @contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        """Hold what else would change this object, in this process and others."""
        name = hashlib.sha256(key.encode()).hexdigest()[:2]
        with self.own("locks") as locks:
            with suppress(FileExistsError):
                os.close(locks.create(name))
            descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=locks.fd)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def telling(self, key: str) -> Iterator[None]:
        """Turn the errors of files into those of objects."""
        try:
            yield
        except OSError as error:
            raise self._told(error, key) from error

    def _told(self, error: OSError, key: str) -> ObjectError | UnusableInputError:
        subject = f"object {key!r}"
        said = error.strerror or str(error)
        code = error.errno
        if code in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
            return ObjectMissingError(f"{subject} is not in {str(self.root)!r}")
        if code in (errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
            reason = "a part of its key is an object or a link, or objects lie below it; in a"
            return UnusableInputError(
                named("object", key), f"key not allowed: {reason} folder a key cannot be both"
            )
        if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return StorageFullError(f"{subject}: no room in {str(self.root)!r}: {said}")
        if code in (errno.EACCES, errno.EPERM, errno.EROFS):
            return StorageDeniedError(f"{subject}: {str(self.root)!r}: {said}")
        return StorageUnavailableError(f"{subject}: {str(self.root)!r}: {said}")


class Upload:
    """An object on its way into a folder, under no key yet."""

    def __init__(self, files: FolderFiles, key: str, name: str, file: BinaryIO) -> None:
        self._files = files
        self.key = key
        self.name = name
        self.file = file
        self.digest = Digest()
        self._published = False

    def write(self, block: bytes | memoryview) -> None:
        """Take the next block."""
        with self._files.telling(self.key):
            view = memoryview(block)
            while view:
                view = view[self.file.write(view) :]
        self.digest.add(block)

    def publish(self, description: Description, *, if_absent: bool, if_etag: str | None) -> Found:
        """Give the object its key, once the disk has its content."""
        with self._files.telling(self.key):
            # Two versions of one size must not have the same moment, which a file system may count
            # in hundredths of a second.
            now_ns = time.time_ns() // 1000 * 1000 + secrets.randbelow(1000)
            os.utime(self.file.fileno(), ns=(now_ns, now_ns))
            os.fsync(self.file.fileno())
            found = self._files.publish(self, description, if_absent=if_absent, if_etag=if_etag)
            self._published = True
            return found

    def close(self) -> None:
        """Let go of the file; remove it if it was not published."""
        if not self._published:
            with suppress(OSError), self._files.own("new") as new:
                os.unlink(self.name, dir_fd=new.fd)
        self.file.close()
