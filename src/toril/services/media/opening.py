"""Makes the work on stored files that the environment asks for: storage, records, a virus scan."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.services.media.file_records import FileRecords
from toril.services.media.work import MediaWork
from toril.services.objects.opening import objects_from_environment
from toril.services.objects.port import ObjectStore
from toril.services.scan.checking import scan_check
from toril.services.scan.clamd import ClamdScanner


def media_work_from_environment(
    records: FileRecords | None = None,
    *,
    folder: str = "public",
    objects: ObjectStore | None = None,
    environ: Mapping[str, str] | None = None,
    **more: Any,
) -> MediaWork:
    """Return the work on the storage that the environment names (`STORAGE_URL`, `S3_BUCKET`, …).

    With `CLAMD_URL` (`unix:///run/clamav/clamd.ctl` or `tcp://host:3310`) each file is scanned
    before anything reads it. Empty means unset.

    Parameters:
        records: Files' records. Default: none are read or changed.
        folder: Where files are if no storage is named.
        objects: The storage, in place of the one that the environment names.
        environ: Where to read. Default: the process's own environment.
        **more: Of `MediaWork`.

    Raises:
        InvalidSettingError: With the variable's name and what would do.
    """
    environ = os.environ if environ is None else environ
    address = environ.get("CLAMD_URL", "").strip()
    if address:
        try:
            more["check"] = scan_check(ClamdScanner(address))
        except InvalidOptionError as error:
            raise InvalidSettingError(f"CLAMD_URL: {error}") from None
    if objects is None:
        objects = objects_from_environment(environ, folder=folder)
    return MediaWork(objects, records=records, **more)
