"""Ready-made tasks: images of a storage become smaller ones, thumbnails and avatars.

Needs the extra `media`: `pip install '.[media]'` in a clone.

Run:
    python examples/stored_images.py

Prints:
    /rocket-compressed.jpg and /rocket-thumbnail.jpg
    avatars of 32, 64, 128, 256, 512 pixels; of 64 as webp, jpeg
    uploads/rocket.webp: smaller by half or more: True
    left of the upload: nothing
"""

import asyncio
import tempfile
from importlib.resources import files
from pathlib import Path

from toril import App
from toril.library.images import StoredImageSettings
from toril.library.images.tasks import stored_images
from toril.services.media.work import MediaWork
from toril.services.objects.folder import FolderObjects

app = App("sqlite://:memory:")
app.include(stored_images)
QUEUE = "image-processing"


async def main(folder: Path) -> None:
    storage = FolderObjects(folder / "public")
    work = MediaWork(storage, scratch_dir=folder / "scratch")
    app.provide(work)
    app.provide(StoredImageSettings())  # sizes, formats, qualities, limits
    photo = files("toril.library.images").joinpath("photos", "rocket.jpg").read_bytes()
    await storage.put("uploads/rocket.jpg", photo)

    upload = {"fileId": "rocket", "filePath": "/uploads/rocket.jpg"}
    smaller = await app.queue(QUEUE).add("images.compress", upload)
    squares = await app.queue(QUEUE).add("images.avatar", upload)
    await app.worker().run(until_idle=True)
    print(" and ".join((await smaller.result()).values()))
    avatars = (await squares.result())["avatars"]
    print(f"avatars of {', '.join(avatars)} pixels; of 64 as {', '.join(avatars['64'])}")

    moved = {"filePath": "uploads/rocket.jpg", "outputPath": "uploads/rocket.webp"}
    job = await app.queue(QUEUE).add("images.compress", moved)
    await app.worker().run(until_idle=True)
    result = await job.result()
    print(f"{result['outputPath']}: smaller by half or more: {result['savings'] >= 50}")
    left = (await storage.list("uploads")).entries
    print(f"left of the upload: {[one.key for one in left if 'jpg' in one.key] or 'nothing'}")
    await work.close()
    await app.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
