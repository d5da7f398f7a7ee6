"""Ready-made tasks: uploads become clean, sized WebP files; what is no image is refused.

Needs the extra `media`: `pip install '.[media]'` in a clone.

Run:
    python examples/images.py

Prints:
    astronaut.png: thumb 320x240, medium 512x512, large 512x512
    coffee.png: thumb 320x240, medium 600x400, large 600x400
    bad-text.jpg: UnusableInputError, after 1 attempt
    6 files made, 1 upload in quarantine
"""

import asyncio
import tempfile
from pathlib import Path

from toril import App, JobFailedError
from toril.library.images import MediaSettings
from toril.library.images.samples import sample_folder
from toril.library.images.tasks import images

app = App("sqlite://:memory:")
app.include(images)
UPLOADS = ("astronaut.png", "coffee.png", "bad-text.jpg")


async def main(folder: Path) -> None:
    settings = MediaSettings(
        media_root=folder / "public",
        temp_dir=folder / "uploads",
        database_url=f"sqlite:///{folder / 'media.db'}",
    )
    app.provide(settings)
    sample_folder(settings.temp_dir)  # six photographs and three files that must be refused

    process_upload = app.find_task("process-upload")
    jobs = await process_upload.enqueue_many(
        {"entity_type": "company_photo", "temp_path": name, "original_filename": name}
        for name in UPLOADS
    )
    await app.worker(concurrency=2).run(until_idle=True)
    for name, job in zip(UPLOADS, jobs, strict=True):
        try:
            sizes = [
                f"{one.name} {one.width}x{one.height}" for one in (await job.result()).variants
            ]
            print(f"{name}: {', '.join(sizes)}")
        except JobFailedError as failure:
            kind = str(failure).partition(":")[0]
            print(f"{name}: {kind}, after {(await job.info()).attempts_made} attempt")
    made, refused = settings.media_root.rglob("*.webp"), settings.quarantine.rglob("*.jpg")
    print(f"{len(list(made))} files made, {len(list(refused))} upload in quarantine")
    await app.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
