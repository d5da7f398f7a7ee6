"""Uploads that were refused: kept for review, each with a note beside it that says why."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from toril.core.clock import Clock, SystemClock, moment
from toril.services.disk.inside import InsideFile
from toril.services.disk.writing import AsideFiles, sync_folder
from toril.services.media.port import UnusableInputError

_NOTE_SUFFIX = ".note.json"
_NAME_BYTES = 200


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
    clock: Clock | None = None,
) -> Path:
    """Move an upload into `<quarantine_dir>/<media_id>/` and write the note beside it.

    The note is written first: a file that has moved always has one.

    Returns:
        Where the upload is now. An older one of the same name is kept beside it.

    Raises:
        OSError: It could not be moved and is where it was.
    """
    folder = quarantine_dir / media_id
    target = _free_name(folder, upload.name)
    at_ms = (clock or SystemClock()).now_ms()
    note = QuarantineNote(
        media_id=media_id,
        temp_path=upload.relative,
        original_filename=original_filename,
        subject=why.subject,
        reason=why.reason,
        at=moment(at_ms).isoformat(),
    )
    with AsideFiles(folder) as files:
        files.write(target.name + _NOTE_SUFFIX, msgspec.json.format(msgspec.json.encode(note)))
        files.publish()
    upload.move_to(target)
    sync_folder(folder)
    return target


def noted(quarantine_dir: Path, *, media_id: str, temp_path: str) -> QuarantineNote | None:
    """Return the newest note about this upload of this media; None if it is not in quarantine."""
    found = []
    for path in (quarantine_dir / media_id).glob(f"*{_NOTE_SUFFIX}"):
        try:
            note = msgspec.json.decode(path.read_bytes(), type=QuarantineNote)
        except msgspec.DecodeError:  # an upload that is itself named like a note
            continue
        if note.temp_path == temp_path and path.with_name(path.name[: -len(_NOTE_SUFFIX)]).exists():
            found.append(note)
    return max(found, key=lambda note: note.at, default=None)


def _free_name(folder: Path, name: str) -> Path:
    # Leave room for what is put around it: names end at 255 bytes.
    name = name if len(os.fsencode(name)) <= _NAME_BYTES else name[-_NAME_BYTES // 4 :]
    path = folder / name
    count = 1
    while path.exists():
        count += 1
        path = folder / f"{name}.{count}"
    return path
