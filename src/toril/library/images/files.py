"""Writes the files of one media as a set, and removes files that left the set."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from toril.library.images.naming import MEDIA_FILE, file_name, folder_name
from toril.services.disk.writing import AsideFiles, remove_asides
from toril.services.media.port import Rendition
from toril.services.media.records import MediaRecord, StoredVariant


def publish(renditions: Iterable[Rendition], root: Path, folder: str) -> tuple[StoredVariant, ...]:
    """Write all renditions aside, then give them their names; return them in the same order.

    Parameters:
        renditions: What to write.
        root: The media root.
        folder: Where in it, as `folder_name` says.

    Raises:
        OSError: The disk. Nothing half-written has a name that anybody looks for.
    """
    stored = []
    with AsideFiles(root / folder) as files:
        for each in renditions:
            name = file_name(each.name, each.content)
            files.write(name, each.content)
            stored.append(
                StoredVariant(
                    name=each.name,
                    path=f"{folder}/{name}",
                    width_px=each.width_px,
                    height_px=each.height_px,
                    size_bytes=len(each.content),
                )
            )
        files.publish()
    return tuple(stored)


def all_present(root: Path, variants: Iterable[StoredVariant]) -> bool:
    """Whether every file is there, with the size that was stored."""
    for variant in variants:
        path = root / variant.path
        if not path.is_file() or path.stat().st_size != variant.size_bytes:
            return False
    return True


def remove_old_files(root: Path, record: MediaRecord) -> None:
    """Remove variants that the record does not name: of sets before, and of killed attempts.

    Looks under every entity type: a media may have changed its own, and the attempt that did it
    may have been killed before it cleared up. Only for who holds the media's lock. Files that are
    not ours stay.

    Parameters:
        root: The media root.
        record: The record as it is now.
    """
    valid = {root / variant.path for variant in record.variants}
    current = root / folder_name(record.entity_type, record.media_id)
    for folder in root.glob(folder_name("*", record.media_id)):
        _clear(folder, valid)
        if folder != current:
            _remove_if_empty(folder)


def remove_clean_files(root: Path, record: MediaRecord) -> int:
    """Remove unmarked files of a media that its record does not name; return their bytes.

    Parameters:
        root: The folder of unmarked files.
        record: The record as it is now.
    """
    valid = {variant.clean for variant in record.variants if variant.clean is not None}
    folder = root / record.media_id
    freed = 0
    remove_asides(folder)
    for path in folder.glob("*.webp"):
        if path.name not in valid:
            size_bytes = path.stat().st_size
            path.unlink(missing_ok=True)
            freed += size_bytes
    if not valid:
        _remove_if_empty(folder)
    return freed


def _clear(folder: Path, valid: set[Path]) -> None:
    remove_asides(folder)
    for path in folder.glob("*.webp"):
        if MEDIA_FILE.fullmatch(path.name) and path not in valid:
            path.unlink(missing_ok=True)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # it is gone, or somebody keeps something of their own there
