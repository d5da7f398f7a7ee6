"""Soft-deleted media go for good, and each byte is counted; on both stores of jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image
from tests.library.media import payload, process, public_files, upload
from tests.services.pictures import encode, photo

from toril import App, InvalidPayloadError
from toril.library.images import MediaSettings, WatermarkJobData, WatermarkSettings
from toril.library.images.watermarking import apply_watermark
from toril.library.sync.cleaning import clean, clean_media, media_cleanup
from toril.library.sync.syncing import MediaSync
from toril.services.media.records import MediaStatus
from toril.services.objects.folder import FolderObjects

LATER = datetime.now(UTC) + timedelta(days=31)


@pytest.fixture
def media(settings: MediaSettings, tmp_path: Path) -> Iterator[MediaSync]:
    made = MediaSync(settings, FolderObjects(tmp_path / "objects"))
    for media_id in ("m-1", "m-2", "m-3"):
        upload(settings, photo("rocket.jpg"))
        process(settings, payload(media_id=media_id), media_id=media_id)
        made.sync(media_id, "upload")
    yield made
    made.close()


def size_of(*folders: Path) -> int:
    found = (path for folder in folders for path in folder.rglob("*.webp") if path.is_file())
    return sum(path.stat().st_size for path in found)


def test_old_ones_go_with_everything_and_bytes_are_counted(
    settings: MediaSettings, media: MediaSync, tmp_path: Path
) -> None:
    mark = tmp_path / "wm.png"
    mark.write_bytes(encode(Image.new("RGBA", (8, 8), "red"), "PNG"))
    data = WatermarkJobData(
        media_id="m-1", watermark_id="wm", position="center", opacity=1, scale=0.5
    )
    marks = WatermarkSettings(marks={"wm": mark})
    apply_watermark(data, settings, marks, report=lambda _percent: None)
    media.sync("m-1", "upload")
    places = settings.media_root, settings.clean, tmp_path / "objects"
    before = size_of(*places)
    media.records.soft_delete("m-1")

    assert clean(media, now=LATER - timedelta(days=2)).deleted == 0
    cleaned = clean(media, now=LATER)

    assert (cleaned.deleted, cleaned.left) == (1, 0)
    assert cleaned.freed_bytes == before - size_of(*places) > 0
    assert media.records.find("m-1") is None
    assert not any("m-1" in name for name in public_files(settings))
    assert not (settings.clean / "m-1").exists()
    assert not any("m-1" in entry.key for entry in media.objects.list().entries)
    assert len(public_files(settings)) == 6  # those of the other two
    assert clean(media, now=LATER).deleted == 0


def test_what_cannot_be_removed_is_told_and_stays(
    settings: MediaSettings, media: MediaSync, monkeypatch: pytest.MonkeyPatch
) -> None:
    for media_id in ("m-1", "m-2"):
        media.records.soft_delete(media_id)
    found = media.records.find("m-1")
    assert found is not None
    # A folder in place of the file: it cannot be unlinked, by root neither.
    path = settings.media_root / found.variants[0].path
    path.unlink()
    (path / "in").mkdir(parents=True)

    cleaned = clean(media, now=LATER)

    assert (cleaned.deleted, cleaned.left) == (1, 1)
    assert "m-1" in cleaned.reasons
    kept = media.records.find("m-1")
    assert kept is not None
    assert kept.status is MediaStatus.SOFT_DELETED
    (path / "in").rmdir()
    path.rmdir()
    assert clean(media, now=LATER).deleted == 1


def test_media_that_are_not_deleted_are_never_erased(media: MediaSync) -> None:
    assert media.erase("m-1") is None
    assert media.erase("m-9") is None
    assert media.records.find("m-1") is not None


async def test_job_by_hand_and_by_schedule(url: str, media: MediaSync) -> None:
    app = App(url)
    app.include(media_cleanup)
    app.provide(media)
    task = app.bound(clean_media)
    media.records.soft_delete("m-2")
    young = await task.enqueue()
    await asyncio.wait_for(app.worker().run(until_idle=True), 120)
    assert (await young.result()).deleted == 0
    # Deleted in the same millisecond it is not old enough; wait for the clock to move on.
    deleted_at = media.records.find("m-2").deleted_at  # type: ignore[union-attr]
    assert deleted_at is not None
    while datetime.now(UTC) <= deleted_at + timedelta(milliseconds=2):
        await asyncio.sleep(0.001)
    job = await task.enqueue(older_than_days=0)
    await asyncio.wait_for(app.worker().run(until_idle=True), 120)
    assert (await job.result()).deleted == 1
    with pytest.raises(InvalidPayloadError, match="status"):
        await task.enqueue(status="ready")  # type: ignore[arg-type]
    with pytest.raises(InvalidPayloadError, match="older"):
        await task.enqueue(older_than_days=-1)
    await app.close()
