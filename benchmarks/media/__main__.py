"""Uploads a second beside plain Pillow and Sharp, stored images, a video beside ffmpeg's program.

Run: python -m benchmarks.media [--uploads 48] [--images 100] [--seconds 30]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

import psutil
from tests.support.ffmpeg import clip, program

from toril import App
from toril.library.images import StoredImageSettings
from toril.library.images.tasks import stored_images
from toril.services.media.child_words import ProcessVideo
from toril.services.media.children import MediaChildren
from toril.services.media.video_port import VideoLimits, VideoPlan
from toril.services.media.work import MediaWork
from toril.services.objects.folder import FolderObjects

MIB = 1024 * 1024
_PLAIN = """
import sys
from pathlib import Path
from PIL import Image, ImageOps

source, target, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
for at in range(count):
    picture = Image.open(source)
    if sys.argv[4] == "draft":
        picture.draft("RGB", (1920, 1080))
    picture = ImageOps.exif_transpose(picture).convert("RGB")
    smaller = picture.copy()
    smaller.thumbnail((1920, 1080), Image.Resampling.LANCZOS)
    smaller.save(target / f"{at}-compressed.jpg", "JPEG", quality=85, optimize=True)
    square = ImageOps.fit(picture, (320, 240), Image.Resampling.LANCZOS)
    square.save(target / f"{at}-thumbnail.jpg", "JPEG", quality=75, optimize=True)
"""

_PHOTOS = """
import sys
from pathlib import Path
from PIL import Image
from toril.library.images.samples import sample_folder

target, count = Path(sys.argv[1]), int(sys.argv[2])
kept = [path for path in sample_folder(target / "samples") if not path.name.startswith("bad-")]
noise = Image.effect_noise((4000, 3000), 16)
for at in range(count):
    with Image.open(kept[at % len(kept)]) as opened:
        large = opened.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)
    grain = Image.merge("RGB", [noise.transpose(Image.Transpose((0, 1, 3)[at % 3]))] * 3)
    Image.blend(large, grain, 0.06).save(target / f"{at}.jpg", "JPEG", quality=88)
"""
_PILLOW_UPLOADS = """
import sys
from multiprocessing import Pool
from pathlib import Path
from PIL import Image, ImageOps

def variants(path):
    picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    for side in (1024, 320):
        smaller = picture.copy()
        smaller.thumbnail((side, side), Image.Resampling.LANCZOS)
        smaller.save(Path(sys.argv[2]) / f"{path.stem}-{side}.webp", "WEBP", quality=85)

with Pool(int(sys.argv[3])) as pool:
    pool.map(variants, sorted(Path(sys.argv[1]).glob("*.jpg")), chunksize=1)
"""
_SHARP_UPLOADS = """
const [folder, target, many] = process.argv.slice(2);
const sharp = require("sharp"), fs = require("fs"), path = require("path");
sharp.concurrency(1);  // threads of one image; side by side it is faster
const left = fs.readdirSync(folder).filter((name) => name.endsWith(".jpg"));
async function work() {
  for (let name = left.pop(); name; name = left.pop()) {
    const source = sharp(path.join(folder, name)).rotate();
    await Promise.all([1024, 320].map((side) => source.clone()
      .resize(side, side, { fit: "inside", withoutEnlargement: true }).webp({ quality: 85 })
      .toFile(path.join(target, `${path.parse(name).name}-${side}.webp`))));
  }
}
Promise.all(Array.from({ length: +many }, work));
"""


class Peak:
    """Watches how much memory child processes hold, every 20 ms: the largest of them."""

    def __init__(self) -> None:
        self.bytes = 0

    async def watch(self) -> None:
        while True:
            for one in psutil.Process().children(recursive=True):
                try:
                    self.bytes = max(self.bytes, one.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue
            await asyncio.sleep(0.02)


async def measured(work: Awaitable[object]) -> tuple[float, int]:
    """Return seconds, and the peak memory of the largest child in bytes."""
    peak = Peak()
    watching = asyncio.create_task(peak.watch())
    begun = time.perf_counter()
    await work
    took = time.perf_counter() - begun
    watching.cancel()
    return took, peak.bytes


async def command(*arguments: str, output: int | None = None) -> None:
    running = await asyncio.create_subprocess_exec(
        *arguments, stdin=subprocess.DEVNULL, stdout=output
    )
    assert await running.wait() == 0


async def uploads(folder: Path, count: int) -> None:
    """Photographs to two sizes: a whole queue with records beside scripts that only make files."""
    photos, cores = folder / "photos", len(os.sched_getaffinity(0))
    photos.mkdir()
    await command(sys.executable, "-c", _PHOTOS, str(photos), str(count))
    shutil.rmtree(photos / "samples")
    sizes = [path.stat().st_size for path in photos.iterdir()]
    print(f"{count} uploads of 4000 x 3000, {sum(sizes) / count / MIB:.1f} MiB each, to WebP")
    print(f"within 1024 and 320 pixels, {cores} at once; peak memory of the largest process:")
    made, demo = folder / "made", folder / "demo"
    plain = [sys.executable, "-c", _PILLOW_UPLOADS, str(photos), str(made), str(cores)]
    ways = [("Pillow, a plain script", made, plain)]
    if shutil.which("npm"):
        await command("npm", "install", "--silent", "--no-fund", "--prefix", str(folder), "sharp")
        script = folder / "sharp.js"
        script.write_text(_SHARP_UPLOADS)
        node = ["node", str(script), str(photos), str(made), str(cores)]
        ways.append(("Sharp on Node", made, node))
    toril = [str(Path(sys.executable).with_name("toril")), "demo", str(photos)]
    toril += ["--output", str(demo), "--stay", "0", "--json"]
    ways.append(("Toril, with queue and records", demo / "public", toril))
    ways.append(("the same with libvips", demo / "public", [*toril, "--engine", "vips"]))
    for name, target, words in ways:
        for old in (made, demo):
            shutil.rmtree(old, ignore_errors=True)
        made.mkdir()
        with (folder / "said.json").open("wb") as said:
            took, peak = await measured(command(*words, output=said.fileno()))
        if target != made:  # without the start of processes, which a worker pays once
            took = json.loads((folder / "said.json").read_text())["duration_s"]
        sizes = [path.stat().st_size for path in target.rglob("*.webp")]
        assert len(sizes) == 2 * count, len(sizes)
        per_s = f"{count / took:6.1f} uploads/s {peak // MIB:5} MiB"
        print(f"  {name:40} {per_s} {sum(sizes) / count / 1024:6.1f} KiB made of each")


async def images(folder: Path, count: int) -> None:
    source = folder / "photo.jpg"
    make = "import sys; from PIL import Image; Image.effect_mandelbrot((4032, 3024),"
    make += " (-2, -1.5, 1, 1.5), 60).convert('RGB').save(sys.argv[1], quality=92)"
    await command(sys.executable, "-c", make, str(source))
    print(f"{count} images of 4032 x 3024, {source.stat().st_size / MIB:.1f} MiB each,")
    print("to 1920 x 1080 and 320 x 240; peak memory of the largest process that decodes:")
    for mode in ("plain", "draft"):
        plain = (sys.executable, "-c", _PLAIN, str(source), str(folder), str(count), mode)
        took, peak = await measured(command(*plain))
        name = (
            "Pillow, a plain script" if mode == "plain" else "Pillow, a script that knows draft()"
        )
        print(f"  {name:40} {count / took:6.1f} images/s {peak // MIB:5} MiB")
    for concurrency in (1, 2):
        objects = FolderObjects(folder / f"public{concurrency}")
        await objects.put("photo.jpg", source)
        work = MediaWork(objects, scratch_dir=folder / "scratch")
        app = App("sqlite://:memory:")
        app.include(stored_images)
        app.provide(work)
        app.provide(StoredImageSettings())
        queue = app.queue("image-processing")
        await queue.add_many(
            [("images.compress", {"fileId": f"f{at}", "filePath": "photo.jpg"})
             for at in range(count)]
        )  # fmt: skip
        took, peak = await measured(app.worker(concurrency=concurrency).run(until_idle=True))
        await work.close()
        await app.close()
        name = f"Toril, {concurrency} at once"
        print(f"  {name:40} {count / took:6.1f} images/s {peak // MIB:5} MiB")


async def videos(folder: Path, seconds: int) -> None:
    options = ("-preset", "ultrafast", "-pix_fmt", "yuv420p", "-crf", "18")
    source = clip(folder / "clip.mp4", size="1920x1080", seconds=seconds, rate=30, options=options)
    print(f"a video of {seconds} s, 1920 x 1080 at 30/s, to 1280 x 720, H.264 veryfast crf 23:")
    order = ProcessVideo(
        source=source,
        target=folder / "made.mp4",
        poster=folder / "poster.jpg",
        plan=VideoPlan(),
        limits=VideoLimits(),
        name="clip",
    )
    children = MediaChildren()
    took, peak = await measured(children.process(order, timeout_s=3600, report=lambda _: None))
    size = order.target.stat().st_size
    print(f"  {'Toril':40} {took:6.1f} s {peak // MIB:5} MiB {size / MIB:6.1f} MiB made")
    theirs = folder / "theirs.mp4"
    took, peak = await measured(
        command(
            program("ffmpeg", "ffmpeg"), "-v", "error", "-y", "-threads", "2", "-i", str(source),
            "-vf", "scale=1280:720:flags=bicubic", "-c:v", "libx264", "-preset", "veryfast",
            "-profile:v", "high", "-crf", "23", "-threads", "2", "-c:a", "aac", "-b:a", "64k",
            "-ar", "48000", "-movflags", "+faststart", str(theirs),
        )
    )  # fmt: skip
    size = theirs.stat().st_size
    print(f"  {'ffmpeg':40} {took:6.1f} s {peak // MIB:5} MiB {size / MIB:6.1f} MiB made")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=48)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(uploads(Path(temporary), given.uploads))
        asyncio.run(images(Path(temporary), given.images))
        asyncio.run(videos(Path(temporary), given.seconds))


if __name__ == "__main__":
    main()
