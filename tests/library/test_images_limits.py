"""How long an image may take, and how much memory: final, both of them."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from tests.library.media import in_quarantine, payload, process, public_files, upload, uploads
from tests.services.bombs import many_scans
from tests.services.pictures import encode

from toril import App, JobFailedError
from toril.core.errors import AttemptTimeoutError, ProcessDiedError
from toril.core.process_memory import MIB, growth_limited
from toril.engine.judging import judge
from toril.library.images.presets import Presets
from toril.library.images.settings import MediaSettings
from toril.library.images.tasks import images
from toril.services.unusable import UnusableInputError

linux = pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not count what it gives")
HUGE = {
    "huge": [{"name": "h", "width": 9_000, "height": 9_000, "fit": "cover"}],
    "large": [{"name": "l", "width": 3_000, "height": 3_000, "fit": "cover"}],
}


@pytest.fixture
def narrow(settings: MediaSettings) -> MediaSettings:
    """Settings under which a small image fits and what is to be made of it does not."""
    presets = Presets.from_mapping(HUGE)
    return replace(settings, max_memory_bytes=64 * MIB, presets=presets)


@linux
def test_image_that_takes_more_memory_than_its_structure_tells_is_refused_for_good(
    narrow: MediaSettings,
) -> None:
    """It was tried three times, each time with all the memory of the machine."""
    upload(narrow, encode(Image.new("RGB", (9, 9)), "PNG"))

    with pytest.raises(
        UnusableInputError,
        match=r"takes more memory than the 64 MiB that are allowed \(max_memory_bytes\)",
    ):
        process(narrow, payload(entity_type="huge"))

    assert "m-1/up.jpg" in in_quarantine(narrow)
    assert public_files(narrow) == set()


@linux
def test_memory_limit_is_lifted_when_the_image_is_done(narrow: MediaSettings) -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    upload(narrow, encode(Image.new("RGB", (9, 9)), "PNG"))

    with pytest.raises(UnusableInputError):
        process(narrow, payload(entity_type="huge"))

    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert len(bytearray(128 * MIB)) == 128 * MIB


def test_thread_does_not_limit_its_neighbours(narrow: MediaSettings) -> None:
    upload(narrow, encode(Image.new("RGB", (9, 9)), "PNG"))
    made: list[int] = []
    held: list[bool] = []

    def work() -> None:
        with growth_limited(1) as limited:
            held.append(limited)
        made.append(len(process(narrow, payload(entity_type="large")).variants))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert (made, held) == ([1], [False])


GROWING = """
from toril.core.process_memory import MIB, growth_limited
there = bytearray(96 * MIB)
with growth_limited(64 * MIB) as limited:
    more = bytearray(32 * MIB)
    try:
        most = bytearray(48 * MIB)
    except MemoryError:
        most = b""
after = bytearray(128 * MIB)
print(limited, len(there + more) // MIB, len(most), len(after) // MIB)
"""


@linux
def test_growth_is_limited_from_what_is_there() -> None:
    """In a process of its own: one that has run other tests has freed memory to take from."""
    done = subprocess.run(
        [sys.executable, "-c", GROWING], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.split() == ["True", "128", "0", "128"]


@linux
def test_tighter_limit_of_somebody_else_stays() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (1 << 40, hard))
    try:
        with growth_limited(1 << 50):
            assert resource.getrlimit(resource.RLIMIT_DATA)[0] == 1 << 40
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] == 1 << 40
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def test_lack_of_memory_that_is_not_ours_is_tried_again(narrow: MediaSettings) -> None:
    """Another attempt may find the machine with more of it."""
    upload(narrow, encode(Image.new("RGB", (9, 9)), "PNG"))

    def starve(percent: int) -> None:
        if percent > 10:  # while it is decoded
            raise MemoryError

    with ThreadPoolExecutor() as threads, pytest.raises(MemoryError):
        threads.submit(process, narrow, payload(entity_type="huge"), report=starve).result()

    assert uploads(narrow) == {"up.jpg"}


def test_image_that_takes_too_long_fails_for_good() -> None:
    """A JPEG of many scans held a worker's slot for an hour, three times."""
    [options] = [task.options for task in _app().tasks()]

    late = judge(AttemptTimeoutError("late"), options.retry, attempts_made=1, draw=0)
    crash = judge(ProcessDiedError("crash"), options.retry, attempts_made=1, draw=0)

    assert options.timeout_s == 60
    assert late.kind == "failed"
    assert crash.kind == "retried"


async def test_bombs_fail_at_once_and_other_jobs_go_on(
    settings: MediaSettings, tmp_path: Path
) -> None:
    app = _app()
    app.provide(
        replace(
            settings,
            presets=Presets.shipped().extended(Presets.from_mapping(HUGE)),
            max_memory_bytes=64 * MIB,
        )
    )
    small = encode(Image.new("RGB", (9, 9)), "PNG")
    cases = [
        (many_scans(30_000), "default", "more than 64 scans"),
        (small, "huge", "takes more memory than"),
        (small, "default", None),
    ]
    task = app.find_task("process-upload")
    jobs = []
    for number, (content, kind, _) in enumerate(cases):
        upload(settings, content, f"{number}.jpg")
        jobs.append(
            await task.enqueue(
                entity_type=kind, temp_path=f"{number}.jpg", original_filename="a.jpg"
            )
        )

    await app.worker(concurrency=1).run(until_idle=True)

    for job, (_, _, reason) in zip(jobs, cases, strict=True):
        if reason is None:
            assert len((await job.result()).variants) == 2
        elif "memory" not in reason or sys.platform != "darwin":
            with pytest.raises(JobFailedError, match=reason):
                await job.result()
            assert (await job.info()).attempts_made == 1
    await app.close()


def _app() -> App:
    app = App("sqlite://:memory:")
    app.include(images)
    return app
