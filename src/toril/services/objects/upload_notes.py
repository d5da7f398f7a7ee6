"""Notes of unfinished uploads: which upload on the server belongs to which content.

Each upload has a file, in a folder that only its owner may use. The file's first line names the
upload; each further line is a part that the server has taken. Whoever works on a key holds a lock
beside its notes. The lock ends with the process, however that ends.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import AbstractContextManager, suppress
from hashlib import blake2b
from pathlib import Path

import msgspec

from toril.services.disk.folders import PRIVATE, Folder, open_folder
from toril.services.disk.locks import held_if_free
from toril.services.disk.writing import ASIDE_PREFIX, ASIDE_SUFFIX
from toril.services.objects.errors import (
    ObjectError,
    StorageDeniedError,
    StorageFullError,
    StorageUnavailableError,
)

_NOTE = ".upload"
_LOCK = ".lock"
_MAX_NOTE_BYTES = 4 * 1024 * 1024
"""A note of 10,000 parts has about 1 MiB."""
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class _Begun(msgspec.Struct, frozen=True):
    """The first line of a note."""

    place: str
    key: str
    upload_id: str


class _Taken(msgspec.Struct, frozen=True):
    """Each further line."""

    part: int
    md5: str
    etag: str


class UploadNote:
    """One unfinished upload."""

    def __init__(self, name: str, begun: _Begun, taken: dict[int, tuple[str, str]]) -> None:
        self.name = name
        """Of its file."""
        self.place = begun.place
        self.key = begun.key
        self.upload_id = begun.upload_id
        self.taken = taken
        """Of each part that was sent: the MD5 of its bytes, and the ETag that the server gave."""


class UploadNotes:
    """The notes of one storage. Plain code: use a thread.

    Parameters:
        folder: Where they are; made if it is not there. Processes and storages may share it.
        place: The storage, for people; without secrets.
    """

    def __init__(self, folder: Path, place: str) -> None:
        self.folder = folder
        self.place = place
        self._appending = threading.Lock()

    def name_of(self, key: str, content: str) -> str:
        """Return the name of a note.

        Parameters:
            key: Where the object is to be.
            content: What tells one content from another.
        """
        return f"{self._key_name(key)}.{_short(content)}{_NOTE}"

    def held(self, key: str) -> AbstractContextManager[bool]:
        """Hold the lock of a key; say whether it was free. Does not wait."""
        return held_if_free(self.folder, self._key_name(key) + _LOCK)

    def find(self, name: str) -> UploadNote | None:
        """Return a note; None if there is none, or none that makes sense."""
        with self._opened() as folder:
            content = folder.read(name, _MAX_NOTE_BYTES)
        if content is None:
            return None
        first, *lines = content.split(b"\n")
        try:
            begun = msgspec.json.decode(first, type=_Begun)
        except msgspec.DecodeError:
            return None
        taken: dict[int, tuple[str, str]] = {}
        for line in lines:
            with suppress(msgspec.DecodeError):  # a process was killed while it wrote
                one = msgspec.json.decode(line, type=_Taken)
                taken[one.part] = (one.md5, one.etag)
        return UploadNote(name, begun, taken)

    def begin(self, name: str, key: str, upload_id: str) -> UploadNote:
        """Note an upload, durably, before its first part is sent."""
        begun = _Begun(place=self.place, key=key, upload_id=upload_id)
        with self._opened() as folder:
            folder.write(name, msgspec.json.encode(begun) + b"\n")
        return UploadNote(name, begun, {})

    def add(self, note: UploadNote, part: int, md5: str, etag: str) -> None:
        """Note a part that the server has taken.

        Not durably: after a power failure its ETag is compared with the MD5 of the file's bytes.
        """
        line = msgspec.json.encode(_Taken(part=part, md5=md5, etag=etag)) + b"\n"
        note.taken[part] = (md5, etag)
        with self._appending, self._opened() as folder:
            fd = os.open(note.name, _APPEND, dir_fd=folder.fd)
            try:
                os.write(fd, line)
            finally:
                os.close(fd)

    def remove(self, name: str) -> None:
        """Remove a note; nothing happens if it is not there."""
        with self._opened() as folder, suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder.fd)

    def others(self, name: str) -> list[UploadNote]:
        """Return the notes of the same key but this one. Only for who has claimed the key."""
        key_name = name.partition(".")[0]
        with self._opened() as folder:
            names = [each for each in folder.names() if each.endswith(_NOTE) and each != name]
        found = [self.find(each) for each in names if each.partition(".")[0] == key_name]
        return [each for each in found if each is not None]

    def old(self, before_s: float) -> list[UploadNote]:
        """Return this storage's notes to which nothing was added for long.

        Files that killed processes have left are removed on the way, once they are as old.

        Parameters:
            before_s: When the last change has to have been, in seconds since 1970.
        """
        with self._opened() as folder:
            names = [name for name in folder.names() if _is_old(folder, name, before_s)]
            for name in names:
                if name.startswith(ASIDE_PREFIX) and name.endswith(ASIDE_SUFFIX):
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=folder.fd)
        for name in names:
            if name.endswith(_LOCK):
                with held_if_free(self.folder, name):
                    pass  # a free one is removed when it is let go
        notes: list[UploadNote] = []
        for name in names:
            if name.endswith(_NOTE):
                note = self.find(name)
                if note is None:
                    self.remove(name)  # nobody can make sense of it
                elif note.place == self.place:
                    notes.append(note)
        return notes

    def is_old(self, name: str, before_s: float) -> bool:
        """Whether a note is there, and nothing was added to it since a moment."""
        with self._opened() as folder:
            return _is_old(folder, name, before_s)

    def _key_name(self, key: str) -> str:
        return _short(f"{self.place}\0{key}")

    def _opened(self) -> Folder:
        folder = open_folder(self.folder, PRIVATE)
        if os.fstat(folder.fd).st_uid != os.geteuid():
            folder.close()
            raise PermissionError(errno.EPERM, "it belongs to another user")
        return folder


def told_of_notes(error: OSError, folder: Path) -> ObjectError:
    """Return an error of the folder with the notes as one of the storage."""
    sentence = (
        f"notes of unfinished uploads cannot be kept in {str(folder)!r} (resume_dir):"
        f" {error.strerror or error}"
    )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFullError(sentence)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP):
        return StorageDeniedError(sentence)
    return StorageUnavailableError(sentence)


def _is_old(folder: Folder, name: str, before_s: float) -> bool:
    try:
        return os.stat(name, dir_fd=folder.fd, follow_symlinks=False).st_mtime <= before_s
    except FileNotFoundError:
        return False


def _short(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
