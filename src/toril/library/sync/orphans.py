"""Finds and removes files of media that no record names: what killed or failed uploads left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from toril.core.errors import TorilError
from toril.library.images.naming import MEDIA_FILE, check_media_id
from toril.library.sync.cleaning import OLDER_THAN_DAYS
from toril.library.sync.files import removed
from toril.library.sync.syncing import MediaSync
from toril.services.disk.locks import held


@dataclass(frozen=True, kw_only=True)
class OrphansFound:
    """What a search did."""

    found: int = 0
    """Folders of media without a record, old enough. Removed, unless it was a trial."""
    errors: int = 0
    """Of these, how many could not be removed."""
    young: int = 0
    """Folders that stay as they changed lately: their job may be under way."""


def remove_orphans(
    media: MediaSync,
    *,
    older_than_days: int = OLDER_THAN_DAYS,
    dry_run: bool = False,
    now: datetime | None = None,
) -> OrphansFound:
    """Remove local files of media that have no record. Files of others stay.

    Parameters:
        media: Where they are.
        older_than_days: How long ago the newest of a media's files was written.
        dry_run: Only count.
        now: Default: the system's clock.
    """
    before = (now or datetime.now(UTC)) - timedelta(days=older_than_days)
    found = errors = young = 0
    for folder in _folders(media.settings.media_root):
        if media.records.find(folder.name) is not None:
            continue
        try:
            old = _is_older(folder, before)
            if old and not dry_run:
                with held(media.settings.locks, folder.name, media.settings.access):
                    old = media.records.find(folder.name) is None and _is_older(folder, before)
                    if old:
                        removed([*_files(folder), *_files(media.settings.clean / folder.name)])
        except (OSError, TorilError):
            old = True
            errors += 1
        found, young = found + old, young + (not old)
    return OrphansFound(found=found, errors=errors, young=young)


def _folders(root: Path) -> Iterator[Path]:
    """Yield folders that may be of media, and hold files of ours."""
    for folder in sorted(root.glob("*/*")):
        try:
            check_media_id(folder.name)
        except TorilError:
            continue
        linked = folder.is_symlink() or folder.parent.is_symlink()
        if not linked and folder.is_dir() and _files(folder):
            yield folder


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.webp") if MEDIA_FILE.fullmatch(path.name)]


def _is_older(folder: Path, before: datetime) -> bool:
    written_s = max((path.stat().st_mtime for path in _files(folder)), default=0.0)
    return written_s < before.timestamp()
