"""Takes uploads of media: a form with one file, stored where jobs find it; and shows records."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import PurePosixPath
from typing import Any

import msgspec
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from toril.library.images.settings import MediaSettings
from toril.services.disk.folders import open_folder
from toril.services.media.records import MediaRecord, MediaStatus
from toril.web.own_routes import Refusal

MAX_FIELDS = 20
MAX_FIELD_BYTES = 64 * 1024
_BLOCK = 1024 * 1024


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """What a form brought."""

    temp_path: str
    """From the temporary folder."""
    filename: str
    """As the client calls it."""
    size_bytes: int
    fields: dict[str, str]
    """The other fields."""


async def receive_upload(request: Request, settings: MediaSettings) -> Upload:
    """Read a form with a file in its field `file`, and store the file.

    Raises:
        Refusal: It is too large (413), no such form, or has no file (422).
        OSError: The disk.
    """
    too_large = Refusal(
        413,
        "too_large",
        f"the file is larger than {settings.max_bytes:,} bytes (MEDIA_MAX_BYTES)",
        field="file",
        headers={"Connection": "close"},
    )
    room = settings.max_bytes + MAX_FIELDS * MAX_FIELD_BYTES
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > room:
        raise too_large
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Refusal(422, "invalid", "expected multipart/form-data with a file", field="file")
    counted = _Counted(request, room, too_large)
    try:
        form = await counted.form(max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
    except MultiPartException as error:
        raise Refusal(422, "invalid", error.message, field="file") from None
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Refusal(422, "invalid", "file: it is missing; send one", field="file")
        if (file.size or 0) > settings.max_bytes:
            raise too_large
        name = PurePosixPath((file.filename or "").replace("\\", "/")).name or "upload"
        temp_path = await _store(file, settings)
        texts = {key: value for key, value in form.items() if isinstance(value, str)}
        return Upload(temp_path=temp_path, filename=name, size_bytes=file.size or 0, fields=texts)
    finally:
        await form.close()


def remove_upload(settings: MediaSettings, upload: Upload) -> None:
    """Remove a file of which no job was made."""
    (settings.temp_dir / upload.temp_path).unlink(missing_ok=True)


def json_field(fields: dict[str, str], name: str) -> dict[str, Any] | None:
    """Return a field that holds a JSON object; None if it is not there.

    Raises:
        Refusal: It is no JSON object.
    """
    text = fields.get(name, "").strip()
    if not text:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refusal(422, "invalid", f"{name}: expected a JSON object", field=name)
    return value


def record_body(record: MediaRecord) -> dict[str, Any]:
    """Return a media's record as an answer shows it."""
    active = record.status is MediaStatus.READY
    return {
        "id": record.media_id,
        "entityType": record.entity_type,
        "userId": record.user_id,
        "originalFilename": record.original_filename,
        "metadata": dict(record.metadata),
        "bytes": record.original_bytes,
        "variants": [
            {
                "name": each.name,
                "path": each.path,
                "width": each.width_px,
                "height": each.height_px,
                "bytes": each.size_bytes,
                "watermarked": each.clean is not None,
            }
            for each in record.variants
        ],
        "storage": record.place.value,
        "status": "active" if active else record.status.value,
        "createdAt": record.created_at,
        "updatedAt": record.updated_at,
        "deletedAt": record.deleted_at,
    }


class _Counted(Request):
    """A request whose body may not be larger than so, whatever its header says."""

    def __init__(self, request: Request, most: int, refusal: Refusal) -> None:
        super().__init__(request.scope, request.receive)
        self._left = most
        self._refusal = refusal

    async def stream(self) -> Any:
        async for part in super().stream():
            self._left -= len(part)
            if self._left < 0:
                raise self._refusal
            yield part


async def _store(file: UploadFile, settings: MediaSettings) -> str:
    """Write a file under a name of its own, and return the name."""
    name = secrets.token_hex(16)
    with open_folder(settings.temp_dir, settings.access) as folder:
        fd = folder.create(name)
    try:
        with os.fdopen(fd, "wb") as out:
            while block := await file.read(_BLOCK):
                out.write(block)
    except BaseException:
        os.unlink(settings.temp_dir / name)
        raise
    return name
