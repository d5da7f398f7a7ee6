"""The file is damaged or taken away under a running worker: it ends, and says why."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from tests.faults.support import FULL, Say, Stage, open_stage
from tests.support.waiting import wait_until

from toril import App, BackendError, StoreCorruptError, StoreForeignError
from toril.core.codec import Json

STALE_S = 0.5
PAGE_BYTES = 4096


def overwrite_pages(file: Path) -> None:
    """Put noise over everything but the first page."""
    size = file.stat().st_size
    with file.open("r+b") as pages:
        pages.seek(PAGE_BYTES)
        pages.write(random.Random(5).randbytes(size - PAGE_BYTES))


def zero_pages(file: Path) -> None:
    with file.open("r+b") as pages:
        pages.seek(PAGE_BYTES)
        pages.write(bytes(file.stat().st_size - PAGE_BYTES))


def overwrite_header(file: Path) -> None:
    with file.open("r+b") as pages:
        pages.write(b"\xff" * file.stat().st_size)


def cut_off(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 8)


@pytest.mark.parametrize("damage", [overwrite_pages, zero_pages, overwrite_header, cut_off])
async def test_worker_on_a_damaged_file_ends_and_says_why(
    stage: Stage, say: Say, damage: Callable[[Path], None]
) -> None:
    padding = "x" * 2_000
    payload: Json = {"padding": padding, "duration_s": 0.02}
    await stage.app.queue("loop").add_many([("mark_on_loop", payload)] * 4_000)
    await stage.app.close()
    worker = stage.worker(queues=["loop"], concurrency=4, stale_after=STALE_S)
    await worker.ready()
    await wait_until(lambda: len(stage.marks) > 20, what="the worker to be busy")
    checkpoint(stage.store)

    damage(stage.store)
    code = await worker.ended(deadline_s=60)

    last = worker.errors.strip().splitlines()[-1]
    assert code == 1, worker.errors
    assert last.startswith("worker: Store"), worker.errors
    assert str(stage.store) in last
    async with App(stage.app.url) as newcomer:
        with pytest.raises((StoreCorruptError, StoreForeignError), match=str(stage.store)):
            await newcomer.queue("loop").add("mark_on_loop")
    say(f"ended with {last.replace(str(stage.folder), '')!r}")


def checkpoint(file: Path) -> None:
    """Bring what is in the log into the file, so that the damage matters."""
    connection = apsw.Connection(str(file))
    connection.set_busy_timeout(5000)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()


def delete(file: Path) -> None:
    for part in file.parent.glob(f"{file.name}*"):
        part.unlink()


def move_away(file: Path) -> None:
    file.rename(file.with_name("elsewhere.db"))


def replace(file: Path) -> None:
    other = file.with_name("other.db")
    shutil.copy(file, other)
    other.replace(file)


def delete_folder(file: Path) -> None:
    shutil.rmtree(file.parent)


def detach(file: Path) -> None:
    """Take the file system away as `umount -l` does: those inside stay there."""
    subprocess.run(["umount", "-l", file.parent], check=True)


LOSSES = (delete, move_away, replace, delete_folder, detach)


@pytest.mark.parametrize(
    ("loss", "busy"),
    [(loss, busy) for busy in (True, False) for loss in LOSSES]
    if FULL
    else [
        (delete, True),
        (move_away, False),
        (replace, True),
        (delete_folder, False),
        (detach, True),
    ],
)
async def test_worker_whose_file_is_taken_away_does_not_go_on_in_silence(
    tmp_path: Path, say: Say, loss: Callable[[Path], None], busy: bool
) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    if loss is detach:
        if os.geteuid() != 0:
            pytest.skip("a file system can be mounted by root only")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", folder], check=True)
    stage = open_stage(tmp_path, folder / "jobs.db")
    try:
        worker = stage.worker(queues=["held", "loop"], stale_after=STALE_S)
        await worker.ready()
        if busy:
            await stage.add("held", "hold_until", path=str(tmp_path / "gate"))
            await stage.until_active(1)
        assert len(await stage.app.queues()) == busy

        loss(stage.store)

        # A process that only adds and looks is told as well: nothing is acknowledged and lost.
        with pytest.raises(BackendError, match="was deleted, moved or replaced"):
            await stage.add("loop", "mark_on_loop")
        with pytest.raises(BackendError, match="was deleted, moved or replaced"):
            await stage.app.queues()
        began_s = time.monotonic()
        code = await worker.ended(deadline_s=60)
        took_s = time.monotonic() - began_s
        last = worker.errors.strip().splitlines()[-1]
        assert code == 1, worker.errors
        assert last.startswith("worker: StoreLostError: "), worker.errors
        assert "was deleted, moved or replaced" in last
        say(f"ended after {took_s:.1f} s with stale_after={STALE_S} s")
    finally:
        await stage.close()
        if loss is detach:
            subprocess.run(["umount", folder], check=False, capture_output=True)


async def test_idle_worker_survives_a_short_loss_of_its_file(stage: Stage) -> None:
    """What counts is how long the store has not answered, not how long nobody has asked it."""
    stale_s = 3.0
    worker = stage.worker(queues=["loop"], stale_after=stale_s)
    await worker.ready()
    idle_s = time.monotonic() + stale_s + 0.5
    await wait_until(lambda: time.monotonic() > idle_s, what="the worker to have been idle")

    elsewhere = stage.store.with_name("elsewhere.db")
    stage.store.rename(elsewhere)
    await wait_until(lambda: "does not answer" in worker.errors, what="the loss to be noticed")
    elsewhere.rename(stage.store)
    job = await stage.add("loop", "mark_on_loop")
    await job.result(timeout_s=60)

    assert worker.is_alive
    assert "answers again" in worker.errors
    await stage.check_store()
