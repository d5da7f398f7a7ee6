"""Files of media that have no record: found, counted, removed once they are old enough."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.library.media import payload, process, upload
from tests.services.pictures import photo

from toril.library.images import MediaSettings
from toril.library.sync.orphans import remove_orphans
from toril.library.sync.syncing import MediaSync
from toril.services.objects.folder import FolderObjects

LATER = datetime.now(UTC) + timedelta(days=31)


@pytest.fixture
def media(settings: MediaSettings, tmp_path: Path) -> Iterator[MediaSync]:
    """Media `m-1`, and `m-2` whose record is gone."""
    made = MediaSync(settings, FolderObjects(tmp_path / "objects"))
    for media_id in ("m-1", "m-2"):
        upload(settings, photo("rocket.jpg"))
        process(settings, payload(media_id=media_id), media_id=media_id)
    record = made.records.find("m-2")
    assert record is not None
    assert made.records.remove(record)
    yield made
    made.close()


def folders(settings: MediaSettings) -> list[str]:
    return sorted(path.name for path in settings.media_root.glob("*/*"))


def test_only_files_without_a_record_go(settings: MediaSettings, media: MediaSync) -> None:
    tried = remove_orphans(media, dry_run=True, now=LATER)
    assert (tried.found, tried.errors, tried.young) == (1, 0, 0)
    assert folders(settings) == ["m-1", "m-2"]

    done = remove_orphans(media, now=LATER)
    assert (done.found, done.errors, done.young) == (1, 0, 0)
    assert folders(settings) == ["m-1"]
    assert remove_orphans(media, now=LATER).found == 0


def test_young_ones_stay(settings: MediaSettings, media: MediaSync) -> None:
    """Their job may be about to write the record."""
    for days, young in ((29, 1), (31, 0)):
        done = remove_orphans(media, now=datetime.now(UTC) + timedelta(days=days))
        assert (done.found, done.young) == (1 - young, young)
    assert remove_orphans(media, older_than_days=0).found == 0
    assert folders(settings) == ["m-1"]


def test_files_and_folders_of_others_stay(settings: MediaSettings, media: MediaSync) -> None:
    kind = next(settings.media_root.glob("*/m-2")).parent
    ours = next((kind / "m-2").glob("*.webp"))
    own = kind / "m-2/notes.txt"
    own.write_text("mine")
    (kind / "m-3").mkdir()
    (kind / "m-3/logo.webp").write_bytes(b"not ours by its name")
    elsewhere = settings.media_root.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ours.name).write_bytes(b"x")
    (kind / "m-4").symlink_to(elsewhere)
    (kind / "no id!").mkdir()
    (kind / "no id!" / ours.name).write_bytes(b"x")

    assert remove_orphans(media, now=LATER).found == 1

    assert not ours.exists()
    assert own.read_text() == "mine"
    assert (kind / "m-3/logo.webp").exists()
    assert (elsewhere / ours.name).exists()
    assert (kind / "no id!" / ours.name).exists()


def test_unmarked_files_go_as_well(settings: MediaSettings, media: MediaSync) -> None:
    name = next(settings.media_root.glob("*/m-2/*.webp")).name
    kept = settings.clean / "m-2"
    kept.mkdir(parents=True)
    (kept / name).write_bytes(b"x")
    remove_orphans(media, now=LATER)
    assert not kept.exists()


def test_what_cannot_be_removed_is_counted(settings: MediaSettings, media: MediaSync) -> None:
    next(settings.media_root.glob("*/m-2/*.webp")).unlink()
    folder = next(settings.media_root.glob("*/m-2"))
    (folder / "large.0123456789ab.webp").mkdir()  # a folder in a file's place
    done = remove_orphans(media, now=LATER)
    assert (done.found, done.errors) == (1, 1)
