"""What `scanning.scan` gives back, under camelCase names."""

from __future__ import annotations

import msgspec

from toril.core.errors import TorilError
from toril.services.scan.port import Finding


class ScannerUnavailableError(TorilError):
    """The scanner gave no verdict. The job is tried again; the file is not clean until then."""


class ScanResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is known of a file."""

    verdict: Finding
    """`clean`, `infected` or `too_large`. Never `unavailable`: the job is tried again then."""
    clean: bool
    """Whether the file may be used."""
    signature: str | None = None
    """The name of what was found. Default: nothing was."""
    reason: str | None = None
    """Why nothing is known. Default: it is."""
    bytes: int | None = None
    """Size of the file. Default: not known, as it was too large to be read."""
    sha256: str | None = None
    """SHA-256 of exactly what was scanned, in hexadecimal. Default: not all of it was read."""
