"""Notes beside the files of a folder storage: content type, SHA-256 and metadata of each object.

A file and its note cannot be replaced in one step. So a note holds what is known of two versions,
the one that is there and the one that takes its place, and each says which file it means. Whenever
the process dies, the note fits the file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from toril.services.disk.folders import Folder

_MAX_BYTES = 64 * 1024


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of one version of a file."""

    etag: str
    content_type: str
    sha256: str
    filename: str | None = None
    metadata: Mapping[str, str] = {}


class Notes(msgspec.Struct, frozen=True):
    """What is known of the versions of an object, the newest first."""

    key: str
    versions: list[Note]


def etag_of(found: os.stat_result) -> str:
    """Return what tells a file's versions apart, also of one that others have put there.

    Its inode is no part of it, so that a backup restores it.
    """
    return f"{found.st_mtime_ns:x}-{found.st_size:x}"


def read_note(folder: Folder, key: str, etag: str) -> Note | None:
    """Return what is known of this version of an object; None if nothing is.

    Parameters:
        folder: The one of the notes.
        key: Of the object.
        etag: Of the file that is there.
    """
    found = _read(folder, key)
    versions = [] if found is None else found.versions
    return next((note for note in versions if note.etag == etag), None)


def write_note(folder: Folder, key: str, note: Note, before_etag: str | None) -> None:
    """Note a version that is about to take its place, and keep the note of the one before."""
    versions = [note]
    if before_etag is not None and before_etag != note.etag:
        kept = read_note(folder, key, before_etag)
        versions += [] if kept is None else [kept]
    with folder.child(_shard(key)) as shard:
        shard.write(_name(key), msgspec.json.encode(Notes(key=key, versions=versions)))


def remove_note(folder: Folder, key: str) -> None:
    """Remove the note of an object that is gone."""
    with suppress(FileNotFoundError), folder.existing_child(_shard(key)) as shard:
        os.unlink(_name(key), dir_fd=shard.fd)


def is_file(found: os.stat_result) -> bool:
    """Whether it is a regular file: no link, no folder, no pipe."""
    return stat.S_ISREG(found.st_mode)


def _read(folder: Folder, key: str) -> Notes | None:
    try:
        with folder.existing_child(_shard(key)) as shard:
            content = shard.read(_name(key), _MAX_BYTES)
        found: Any = None if content is None else msgspec.json.decode(content, type=Notes)
    except (FileNotFoundError, msgspec.DecodeError):  # a damaged one is as good as none
        return None
    return found if found is not None and found.key == key else None


def _name(key: str) -> str:
    return f"{hashlib.sha256(key.encode()).hexdigest()}.json"


def _shard(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:2]
