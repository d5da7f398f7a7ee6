"""Media work in child processes: what they do, and how they end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from tests.services.pictures import photo
from tests.support.ffmpeg import clip
from tests.support.waiting import wait_until, wait_until_sync

from toril.services.media.child_words import Made, ProcessVideo, RenderImage
from toril.services.media.children import MediaChildError, MediaChildren
from toril.services.media.port import Fit, ImageLimits, OutputFormat, VariantSpec
from toril.services.media.video_port import MadeVideo, VideoLimits, VideoPlan
from toril.services.unusable import UnusableInputError

MIB = 1024 * 1024


@pytest.fixture
async def children() -> AsyncIterator[MediaChildren]:
    made = MediaChildren()
    yield made
    await made.close()


def pids() -> set[int]:
    """Return the media children of this process that live."""
    mine = psutil.Process().children()
    return {one.pid for one in mine if one.is_running() and one.status() != psutil.STATUS_ZOMBIE}


def image_order(tmp_path: Path, content: bytes, **limits: int) -> RenderImage:
    source = tmp_path / "image"
    source.write_bytes(content)
    spec = VariantSpec(
        name="v", width_px=40, height_px=40, fit=Fit.INSIDE, format=OutputFormat.JPEG
    )
    return RenderImage(
        source=source,
        folder=tmp_path,
        specs=[spec],
        limits=ImageLimits(**limits),  # type: ignore[arg-type]  # numbers only
        quality=85,
        name="image",
    )


def video_order(source: Path, **limits: int) -> ProcessVideo:
    return ProcessVideo(
        source=source,
        target=source.parent / "made.mp4",
        poster=source.parent / "poster.jpg",
        plan=VideoPlan(),
        limits=VideoLimits(**limits),
        name="video",
    )


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that takes many seconds to encode."""
    folder = tmp_path_factory.mktemp("clips")
    options = ("-preset", "ultrafast", "-pix_fmt", "yuv420p")
    return clip(folder / "long.mp4", size="1280x720", seconds=60, options=options)


def linked(clip_path: Path, folder: Path) -> Path:
    here = folder / "source.mp4"
    here.hardlink_to(clip_path)
    return here


async def render(children: MediaChildren, order: RenderImage) -> list[Made]:
    return await children.render(order, timeout_s=60, report=lambda _: None)


async def process(
    children: MediaChildren,
    order: ProcessVideo,
    report: Callable[[int], None] = lambda _: None,
    timeout_s: float = 200,
) -> MadeVideo:
    return await children.process(order, timeout_s=timeout_s, report=report)


async def test_images_share_a_child(tmp_path: Path, children: MediaChildren) -> None:
    before = pids()
    (first,) = await render(children, image_order(tmp_path, photo("rocket.jpg")))
    one = pids() - before
    await render(children, image_order(tmp_path, photo("rocket.jpg")))

    assert len(one) == 1
    assert pids() - before == one
    assert first.path.read_bytes()[:3] == b"\xff\xd8\xff"
    assert first.size_bytes == first.path.stat().st_size

    await children.close()
    assert pids() == before


async def test_refused_image_costs_no_child(tmp_path: Path, children: MediaChildren) -> None:
    before = pids()
    with pytest.raises(UnusableInputError, match="image 'image': its bytes are not an image"):
        await render(children, image_order(tmp_path, b"text"))
    one = pids() - before

    await render(children, image_order(tmp_path, photo("rocket.jpg")))

    assert pids() - before == one


async def test_video_in_a_child_tells_its_progress(tmp_path: Path, children: MediaChildren) -> None:
    before = pids()
    said: list[int] = []

    made = await process(children, video_order(clip(tmp_path / "s.mp4")), said.append)

    assert made.frames == 50
    assert said == sorted(said)
    assert (said[0], said[-1]) == (0, 100)
    assert len(said) > 5
    assert pids() == before


async def test_reason_has_the_words_of_ffmpegs_log(tmp_path: Path, children: MediaChildren) -> None:
    source = tmp_path / "bad.mp4"
    source.write_bytes(b"nothing\n")

    with pytest.raises(UnusableInputError, match=r"Invalid data.*: moov atom not found"):
        await process(children, video_order(source))


async def test_cancelled_video_is_killed(
    tmp_path: Path, children: MediaChildren, long_clip: Path
) -> None:
    before = pids()
    begun = asyncio.Event()
    order = video_order(linked(long_clip, tmp_path))

    def report(percent: int) -> None:
        if percent:
            begun.set()

    running = asyncio.create_task(process(children, order, report))
    await wait_until(lambda: begun.is_set() or running.done())
    assert len(pids() - before) == 1
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert pids() == before


async def test_video_that_takes_too_long_is_killed(
    tmp_path: Path, children: MediaChildren, long_clip: Path
) -> None:
    before = pids()
    order = video_order(linked(long_clip, tmp_path))

    reason = r"it takes longer than the 0.5 s that are allowed \(timeout_s\)"
    with pytest.raises(UnusableInputError, match=reason):
        await process(children, order, timeout_s=0.5)

    assert pids() == before


async def test_video_that_takes_too_much_memory_is_ended(
    tmp_path: Path, children: MediaChildren, long_clip: Path
) -> None:
    before = pids()
    order = video_order(linked(long_clip, tmp_path), max_memory_bytes=80 * MIB)

    reason = r"video 'video': it takes more memory than the 80 MiB that are allowed"
    with pytest.raises(UnusableInputError, match=reason):
        await process(children, order)

    assert pids() == before


async def test_child_that_dies_is_told_and_replaced(
    tmp_path: Path, children: MediaChildren, long_clip: Path
) -> None:
    before = pids()
    order = video_order(linked(long_clip, tmp_path))

    def report(percent: int) -> None:
        if percent == 1:
            (child,) = pids() - before
            os.kill(child, signal.SIGKILL)

    with pytest.raises(MediaChildError, match="was killed by SIGKILL"):
        await process(children, order, report)

    assert pids() == before
    await render(children, image_order(tmp_path, photo("rocket.jpg")))


async def test_idle_child_that_died_is_not_used(tmp_path: Path, children: MediaChildren) -> None:
    before = pids()
    await render(children, image_order(tmp_path, photo("rocket.jpg")))
    (child,) = pids() - before
    os.kill(child, signal.SIGKILL)
    await wait_until(lambda: child not in pids())

    await render(children, image_order(tmp_path, photo("rocket.jpg")))

    assert child not in pids()


async def test_disk_that_fails_is_no_fault_of_the_image(
    tmp_path: Path, children: MediaChildren
) -> None:
    order = image_order(tmp_path, photo("rocket.jpg"))
    order.source.unlink()

    with pytest.raises(MediaChildError, match=r"image .image.: FileNotFoundError"):
        await render(children, order)


def test_children_serve_one_event_loop_after_the_other(tmp_path: Path) -> None:
    children = MediaChildren()
    for _ in range(2):
        asyncio.run(render(children, image_order(tmp_path, photo("rocket.jpg"))))
    asyncio.run(children.close())


def test_child_ends_with_a_parent_that_is_killed(tmp_path: Path, long_clip: Path) -> None:
    program = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from toril.services.media.child_words import ProcessVideo
        from toril.services.media.children import MediaChildren
        from toril.services.media.video_port import VideoLimits, VideoPlan

        source = Path(sys.argv[1])
        order = ProcessVideo(
            source=source, target=source.parent / "made.mp4", poster=None,
            plan=VideoPlan(), limits=VideoLimits(), name="video",
        )
        asyncio.run(
            MediaChildren().process(
                order, timeout_s=200, report=lambda percent: print(percent, flush=True)
            )
        )
        """
    )
    command = [sys.executable, "-c", program, str(linked(long_clip, tmp_path))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        while parent.stdout.readline() != "1\n":
            assert parent.poll() is None
        (child,) = psutil.Process(parent.pid).children()
        parent.kill()

    wait_until_sync(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
