"""Ready-made tasks: a video becomes a small one that plays everywhere, with a poster.

Needs the extra `video`: `pip install '.[video]'` in a clone.

Run:
    python examples/video.py

Prints:
    /clip-compressed.mp4, 2.0 s, poster /clip-poster.jpg
    progress at the end: 100
"""

import asyncio
import tempfile
from pathlib import Path

import av

from toril import App
from toril.library.video import VideoSettings
from toril.library.video.tasks import videos
from toril.services.media.work import MediaWork
from toril.services.objects.folder import FolderObjects

app = App("sqlite://:memory:")
app.include(videos)


def record(path: Path) -> Path:
    with av.open(path, "w") as clip:
        stream = clip.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 1600, 900
        for _ in range(50):
            clip.mux(stream.encode(av.VideoFrame(1600, 900, "yuv420p")))
        clip.mux(stream.encode(None))
    return path


async def main(folder: Path) -> None:
    storage = FolderObjects(folder / "public")
    work = MediaWork(storage, scratch_dir=folder / "scratch")
    app.provide(work)
    app.provide(VideoSettings())  # format, size, limits
    await storage.put("uploads/clip.avi", await asyncio.to_thread(record, folder / "clip.avi"))

    upload = {"fileId": "clip", "filePath": "/uploads/clip.avi"}
    job = await app.queue("process-video").add("video.process", upload)
    await app.worker().run(until_idle=True)
    made = await job.result()
    print(f"{made['compressedUrl']}, {made['durationSeconds']:.1f} s, poster {made['posterUrl']}")
    print(f"progress at the end: {(await job.info()).progress}")
    await work.close()
    await app.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
