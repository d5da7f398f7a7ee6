"""The local files of a media: are they the ones that its record names?"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from toril.services.media.records import StoredVariant


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A local file with its digests."""

    path: Path
    size_bytes: int
    sha256: str
    short: str
    """The digest in its name, as its content has it."""

    def is_of(self, variant: StoredVariant) -> bool:
        """Whether it is the variant's file: by its size, and by the digest in its name."""
        name = variant.path.rpartition("/")[2]
        # A name that has no digest was given by somebody else.
        named = name.split(".")[1] if name.count(".") == 2 else self.short
        return self.size_bytes == variant.size_bytes and named == self.short


def local_file(path: Path) -> LocalFile | None:
    """Read a file and return its digests; None if there is no such regular file."""
    sha256, short, size_bytes = hashlib.sha256(), hashlib.blake2b(digest_size=6), 0
    try:
        with path.open("rb") as file:
            while block := file.read(1024 * 1024):
                sha256.update(block)
                short.update(block)
                size_bytes += len(block)
    except (FileNotFoundError, IsADirectoryError):
        return None
    return LocalFile(path, size_bytes, sha256.hexdigest(), short.hexdigest())


def removed(paths: list[Path]) -> int:
    """Remove files, and their folders if nothing is left in them; return how many there were."""
    count = 0
    for path in paths:
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        count += 1
    for folder in {path.parent for path in paths}:
        try:
            folder.rmdir()
        except OSError:
            continue  # it is gone, or has other files
    return count
