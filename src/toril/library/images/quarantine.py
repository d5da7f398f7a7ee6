"""Keeps refused uploads for review, each beside a note with the reason."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from toril.core.clock import Clock, SystemClock, moment
from toril.services.disk.folders import PRIVATE, Access, Folder, existing_folder, open_folder
from toril.services.disk.inside import InsideFile
from toril.services.unusable import UnusableInputError

_NOTE_SUFFIX = ".note.json"
_NAME_BYTES = 200
_NOTE_MAX_BYTES = 1024 * 1024


class QuarantineNote(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why an upload is in quarantine."""

    media_id: str
    temp_path: str
    """Where it was, from the temporary folder."""
    original_filename: str
    subject: str
    reason: str
    at: str
    """When, ISO 8601 in UTC."""


def put_away(
    upload: InsideFile,
    quarantine_dir: Path,
    *,
    media_id: str,
    original_filename: str,
    why: UnusableInputError,
    access: Access = PRIVATE,
    clock: Clock | None = None,
) -> Path:
    """Move an upload into `<quarantine_dir>/<media_id>/` and write the note beside it.

    The note is written first: a file that has moved always has one. No link below
    `quarantine_dir` is followed.

    Returns:
        Where the upload is now. An older one of the same name is kept beside it.

    Raises:
        OSError: It could not be moved and is where it was.
    """
    with open_folder(quarantine_dir, access) as root, root.child(media_id) as folder:
        name = _free_name(folder, upload.name)
        note = QuarantineNote(
            media_id=media_id,
            temp_path=upload.relative,
            original_filename=original_filename,
            subject=why.subject,
            reason=why.reason,
            at=moment((clock or SystemClock()).now_ms()).isoformat(),
        )
        content = msgspec.json.format(msgspec.json.encode(note))
        folder.write(name + _NOTE_SUFFIX, content)
        upload.move_to(folder, name)
        folder.lend(name)
        folder.sync()
        return folder.path / name


def noted(quarantine_dir: Path, *, media_id: str, temp_path: str) -> QuarantineNote | None:
    """Return the newest note about this upload of this media; None if it is not in quarantine."""
    found = []
    try:
        with existing_folder(quarantine_dir) as root, root.existing_child(media_id) as folder:
            for name in folder.names():
                if not name.endswith(_NOTE_SUFFIX) or not folder.has(name[: -len(_NOTE_SUFFIX)]):
                    continue
                note = _note(folder.read(name, _NOTE_MAX_BYTES))
                if note is not None and note.temp_path == temp_path:
                    found.append(note)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return max(found, key=lambda note: note.at, default=None)


def _note(content: bytes | None) -> QuarantineNote | None:
    try:
        return None if content is None else msgspec.json.decode(content, type=QuarantineNote)
    except msgspec.DecodeError:  # an upload that is itself named like a note
        return None


def _free_name(folder: Folder, name: str) -> str:
    # Leave room for what is put around it: names end at 255 bytes.
    name = name if len(os.fsencode(name)) <= _NAME_BYTES else name[-_NAME_BYTES // 4 :]
    free = name
    count = 1
    while folder.has(free):
        count += 1
        free = f"{name}.{count}"
    return free
