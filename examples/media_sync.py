"""Ready-made task: the files of media in step with a storage of objects.

Needs the extra `media`. Run:
    python examples/media_sync.py

Prints:
    uploaded: 2 files copied, 0 unchanged
    again: 0 files copied, 2 unchanged
    moved away: 2 local files removed, now in: s3
    fetched: 2 files copied, now in: both
"""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from toril import App
from toril.library.images import MediaProcessingJobData, MediaSettings
from toril.library.images.service import MediaService
from toril.library.sync.payloads import Operation
from toril.library.sync.service import MediaSyncService
from toril.library.sync.syncing import MediaSync
from toril.library.sync.tasks import sync
from toril.services.objects.folder import FolderObjects


async def main(folder: Path) -> None:
    app = App("sqlite://:memory:")
    app.include(sync)
    os.chdir(folder)
    settings = MediaSettings(temp_dir=Path("uploads"))
    app.provide(media := MediaSync(settings, FolderObjects(folder / "objects")))
    settings.temp_dir.mkdir()
    Image.new("RGB", (600, 400), "teal").save(settings.temp_dir / "a.png")
    upload = MediaProcessingJobData(entity_type="default", temp_path="a.png", original_filename="")
    MediaService(settings, records=media.records).process_upload(upload)
    service = MediaSyncService(app, media.records)

    async def run(operation: Operation, delete_source: bool = False) -> tuple[Any, Any]:
        (job,) = await service.sync_all(operation, delete_source=delete_source)
        await app.worker().run(until_idle=True)
        return await job.result(), media.records.list()[0].place

    for word in ("uploaded", "again"):
        result, _ = await run("upload")
        print(f"{word}: {result.copied} files copied, {result.unchanged} unchanged")
    result, place = await run("upload", delete_source=True)
    print(f"moved away: {result.removed} local files removed, now in: {place}")
    result, place = await run("download")
    print(f"fetched: {result.copied} files copied, now in: {place}")
    media.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
