"""Makes what `files.upload` works with, as an environment says."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.library.files.settings import DEFAULT_MAX_BYTES, FileSettings
from toril.library.files.upload_settings import UploadSettings
from toril.library.files.uploads import Uploads
from toril.services.http.port import HttpClient
from toril.services.objects.port import ObjectStore
from toril.services.scan.clamd import ClamdScanner
from toril.services.scan.memory import MemoryScanner
from toril.services.scan.port import Scanner
from toril.services.sources.opening import OpenSources

log = logging.getLogger("toril.uploads")


def uploads_from_environment(
    environ: Mapping[str, str],
    *,
    objects: ObjectStore,
    http: HttpClient,
    outcome_task: str | None = None,
) -> Uploads:
    """Return what takes uploads in.

    Reads `MAX_FILE_SIZE` (bytes), `ALLOWED_FILE_TYPES` (with commas between) and `CLAMD_ADDRESS`,
    which has to be set: `tcp://localhost:3310`, `unix:///run/clamav/clamd.ctl`, or `memory`, which
    finds a test pattern only.

    Parameters:
        environ: Where to read.
        objects: Where files are kept, and may come from.
        http: What fetches the others.
        outcome_task: See `UploadSettings`.

    Raises:
        InvalidSettingError: With the variable's name, its value and what would do.
    """
    given = {name: text.strip() for name, text in environ.items() if text.strip()}
    size = given.get("MAX_FILE_SIZE", str(DEFAULT_MAX_BYTES))
    if not (size.isascii() and size.isdigit() and 0 < int(size) < 10**15):
        raise InvalidSettingError(f"MAX_FILE_SIZE={size!r}: expected bytes, a whole number from 1")
    named = given.get("ALLOWED_FILE_TYPES")
    types = None if named is None else [one.strip() for one in named.split(",") if one.strip()]
    try:
        files = FileSettings(max_bytes=int(size), types=types)
    except InvalidOptionError as error:
        raise InvalidSettingError(f"ALLOWED_FILE_TYPES={named!r}: {error}") from None
    return Uploads(
        objects,
        sources=OpenSources(objects=objects, http=http),
        scanner=_scanner(given.get("CLAMD_ADDRESS")),
        settings=UploadSettings(files=files, outcome_task=outcome_task),
    )


def _scanner(address: str | None) -> Scanner:
    if address is None:
        raise InvalidSettingError(
            "CLAMD_ADDRESS is not set: expected where clamd listens, such as tcp://localhost:3310;"
            " or memory, which finds a test pattern only"
        )
    if address == "memory":
        log.warning("CLAMD_ADDRESS=memory: files are not protected, as no real scanner looks")
        return MemoryScanner()
    try:
        return ClamdScanner(address)
    except InvalidOptionError as error:
        raise InvalidSettingError(f"CLAMD_ADDRESS={address!r}: {error}") from None
