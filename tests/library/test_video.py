"""`video.process` as a job; read back by ffprobe."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.ffmpeg import clip, identified, probed
from tests.support.waiting import wait_until, wait_until_sync

from toril import App, JobFailedError
from toril.core.errors import InvalidOptionError
from toril.library.video import VideoSettings
from toril.library.video.tasks import videos
from toril.services.media.file_records import FileRecord, MemoryFileRecords
from toril.services.media.video_port import VideoFormat, VideoLimits, VideoPlan
from toril.services.media.work import MediaWork
from toril.services.objects.folder import FolderObjects

MIB = 1024 * 1024


class Place:
    """An app with this task, a folder as its storage, and records in memory."""

    def __init__(self, base: Path, **settings: Any) -> None:
        self.root = base / "public"
        self.objects = FolderObjects(self.root)
        self.records = MemoryFileRecords({"v1": FileRecord(file_id="v1", path="uploads/a.mp4")})
        self.scratch = base / "scratch"
        self.work = MediaWork(
            self.objects,
            records=self.records,
            scratch_dir=self.scratch,
            public_url="https://cdn.example.com",
        )
        self.app = App("sqlite://:memory:")
        self.app.include(videos)
        self.app.provide(self.work)
        self.app.provide(VideoSettings(**settings))

    async def add(self, payload: dict[str, Any]) -> Any:
        return await self.app.queue("process-video").add("video.process", payload)

    async def run(self, payload: dict[str, Any]) -> Any:
        job = await self.add(payload)
        await self.app.worker().run(until_idle=True)
        self.info = await job.info()
        return await job.result()

    async def refused(self, payload: dict[str, Any]) -> str:
        with pytest.raises(JobFailedError) as failed:
            await self.run(payload)
        assert self.info.attempts_made == 1
        return str(failed.value)

    def names(self) -> set[str]:
        found = [path for path in self.root.rglob("*") if path.is_file()]
        keys = {str(path.relative_to(self.root)) for path in found}
        return {key for key in keys if not key.startswith(".toril")}

    async def close(self) -> None:
        await self.work.close()
        await self.app.close()
        assert list(self.scratch.glob("*")) == []


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    yield made
    await made.close()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    clip(folder / "short.mp4")
    clip(folder / "silent.mp4", sound=False)
    options = ("-preset", "ultrafast", "-pix_fmt", "yuv420p")
    clip(folder / "long.mp4", size="1280x720", seconds=45, options=options)
    return folder


async def test_video_is_made_small_with_a_poster_and_recorded(place: Place, clips: Path) -> None:
    await place.objects.put("uploads/a.mp4", clips / "short.mp4")

    result = await place.run({"fileId": "v1", "filePath": "/uploads/a.mp4", "userId": "u1"})

    made = place.root / "v1-compressed.mp4"
    found = probed(made)
    assert (found["video"]["codec_name"], found["audio"]["codec_name"]) == ("h264", "aac")
    assert result == {
        "compressedUrl": "https://cdn.example.com/v1-compressed.mp4",
        "posterUrl": "https://cdn.example.com/v1-poster.jpg",
        "durationSeconds": pytest.approx(float(found["format"]["duration"]), abs=0.01),
        "bytes": made.stat().st_size,
    }
    assert identified(place.root / "v1-poster.jpg")["format"] == "JPEG"
    assert place.names() == {"uploads/a.mp4", "v1-compressed.mp4", "v1-poster.jpg"}
    assert place.info.progress == 100
    record = place.records.records["v1"]
    assert record.processed
    assert set(record.urls) == {"compressedUrl", "posterUrl"}
    assert (await place.objects.head("v1-compressed.mp4")).content_type == "video/mp4"


async def test_video_is_found_by_its_record(place: Place, clips: Path) -> None:
    await place.objects.put("uploads/a.mp4", clips / "silent.mp4")

    await place.run({"videoId": "v1"})

    assert probed(place.root / "v1-compressed.mp4")["audio"] is None


async def test_progress_rises(place: Place, clips: Path) -> None:
    await place.objects.put("uploads/a.mp4", clips / "long.mp4")
    job = await place.add({"videoId": "v1"})
    seen: list[int] = []

    async def half() -> bool:
        progress = (await job.info()).progress
        if isinstance(progress, int) and progress not in seen:
            seen.append(progress)
        return bool(seen) and seen[-1] >= 5

    async with place.app.worker():
        await wait_until(half)
        await job.cancel()

    assert seen == sorted(seen)
    assert len(seen) >= 2


async def test_cancelled_job_kills_the_encoder_and_leaves_nothing(
    place: Place, clips: Path
) -> None:
    await place.objects.put("uploads/a.mp4", clips / "long.mp4")
    before = set(psutil.Process().children())
    job = await place.add({"videoId": "v1"})

    async def begun() -> bool:
        return bool((await job.info()).progress)

    async with place.app.worker():
        await wait_until(begun)
        (encoder,) = set(psutil.Process().children()) - before
        await job.cancel()
        with pytest.raises(JobFailedError):
            await job.result(timeout_s=60)
        await wait_until(lambda: not encoder.is_running())

    assert place.names() == {"uploads/a.mp4"}
    assert not place.records.records["v1"].processed


async def test_too_much_memory_fails_with_the_reason(tmp_path: Path, clips: Path) -> None:
    place = Place(tmp_path, limits=VideoLimits(max_memory_bytes=80 * MIB))
    await place.objects.put("uploads/a.mp4", clips / "long.mp4")

    said = await place.refused({"videoId": "v1"})

    assert "it takes more memory than the 80 MiB that are allowed (max_memory_bytes)" in said
    assert place.names() == {"uploads/a.mp4"}
    await place.close()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is an empty file"),
        (b"no video at all", "damaged (Invalid data found when processing input)"),
    ],
)
async def test_bad_video_fails_at_once(place: Place, content: bytes, reason: str) -> None:
    await place.objects.put("uploads/a.mp4", content)

    said = await place.refused({"videoId": "v1"})

    assert "video 'uploads/a.mp4'" in said
    assert reason in said
    assert place.names() == {"uploads/a.mp4"}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({}, "fileId: give it, or a videoId, or an outputPath"),
        ({"videoId": "v2"}, "videoId 'v2': there is no record of this file"),
        ({"fileId": "v1", "filePath": "/../x"}, "it has to lie inside the storage"),
        ({"fileId": "v1", "filePath": "none.mp4"}, "there is no such file in the storage"),
        ({"fileId": "a/b", "filePath": "x"}, "fileId 'a/b': expected 1 to 128 letters"),
        ({"outputPath": "b.mp4"}, "filePath: give it along with outputPath"),
        ({"outputPath": "b.mp4", "filePath": "/b.mp4"}, "it is the original's own path"),
    ],
)
async def test_payload_that_cannot_work_fails_at_once(
    place: Place, payload: dict[str, Any], reason: str
) -> None:
    assert reason in await place.refused(payload)
    assert place.names() == set()


async def test_record_that_does_not_say_where_its_file_lies(place: Place) -> None:
    await place.records.add(FileRecord(file_id="v1"))

    assert "nobody says where the file of 'v1' lies" in await place.refused({"fileId": "v1"})


async def test_video_with_an_output_path_becomes_that_file(place: Place, clips: Path) -> None:
    """As a published chat sends them."""
    original = (clips / "short.mp4").stat().st_size
    await place.objects.put("uploads/17_v.mp4", clips / "short.mp4")

    result = await place.run(
        {"filePath": "/uploads/17_v.mp4", "outputPath": "uploads/17_v_processed.mp4"}
    )

    size = (place.root / "uploads/17_v_processed.mp4").stat().st_size
    assert probed(place.root / "uploads/17_v_processed.mp4")["video"]["codec_name"] == "h264"
    assert result == {
        "originalSize": original,
        "compressedSize": size,
        "savings": round((1 - size / original) * 100, 2),
        "outputPath": "uploads/17_v_processed.mp4",
    }
    assert place.names() == {"uploads/17_v_processed.mp4"}, "the original goes with the outcome"


async def test_format_follows_the_name(tmp_path: Path, clips: Path) -> None:
    place = Place(tmp_path, plan=VideoPlan(format=VideoFormat.WEBM), folder="made")
    await place.objects.put("uploads/a.mp4", clips / "short.mp4")

    await place.run({"videoId": "v1"})
    await place.run({"filePath": "uploads/a.mp4", "outputPath": "b.mp4"})

    assert probed(place.root / "made/v1-compressed.webm")["video"]["codec_name"] == "vp9"
    assert probed(place.root / "b.mp4")["video"]["codec_name"] == "h264"
    await place.close()


def test_settings_refuse_a_limit_that_the_task_would_never_reach() -> None:
    with pytest.raises(InvalidOptionError, match="timeout_s=3600"):
        VideoSettings(timeout_s=3600)


def test_worker_that_is_killed_leaves_one_output_on_its_second_start(
    tmp_path: Path, clips: Path
) -> None:
    program = tmp_path / "studio.py"
    program.write_text(
        textwrap.dedent(
            f"""
            from pathlib import Path
            from toril import App
            from toril.library.video import VideoSettings
            from toril.library.video.tasks import videos
            from toril.services.media.work import MediaWork
            from toril.services.objects.folder import FolderObjects

            app = App("sqlite:///{tmp_path}/jobs.db")
            app.include(videos)
            objects = FolderObjects("{tmp_path}/public")
            app.provide(MediaWork(objects, scratch_dir=Path("{tmp_path}/scratch")))
            app.provide(VideoSettings())
            """
        )
    )
    app = App(f"sqlite:///{tmp_path}/jobs.db")
    app.include(videos)
    objects = FolderObjects(tmp_path / "public")

    def worker() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "toril", "worker", "studio:app"]
        return subprocess.Popen(command, cwd=tmp_path)

    async def both() -> Any:
        await objects.put("a.mp4", clips / "long.mp4")
        payload = {"fileId": "v1", "filePath": "a.mp4"}
        job = await app.queue("process-video").add("video.process", payload)

        async def begun() -> bool:
            return bool((await job.info()).progress)

        with worker() as running:
            try:
                await wait_until(lambda: running.poll() is not None or begun())
                (encoder,) = psutil.Process(running.pid).children()
            finally:
                running.kill()
        await wait_until(lambda: not encoder.is_running())
        with worker() as running:
            try:
                return await job.result(timeout_s=120)
            finally:
                running.terminate()
                running.wait()
                await app.close()

    result = asyncio.run(both())

    public = tmp_path / "public"
    assert {path.name for path in public.iterdir() if path.is_file()} == {
        "a.mp4", "v1-compressed.mp4", "v1-poster.jpg",
    }  # fmt: skip
    assert probed(public / "v1-compressed.mp4")["video"]["codec_name"] == "h264"
    assert result["bytes"] == (public / "v1-compressed.mp4").stat().st_size
    wait_until_sync(lambda: list((tmp_path / "scratch").iterdir()) == [])
