"""A file is scanned by clamd before anything reads it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.examples.chat.deployment import FILES, Deployment, deployed
from tests.examples.chat.test_chat import magick
from tests.support.clamd import Clamd, running_clamd
from tests.support.waiting import wait_until

from toril import App
from toril.services.scan.memory import eicar


@pytest.fixture
def clamd(tmp_path: Path) -> Iterator[Clamd]:
    """A scanner."""
    folder = tmp_path / "clamd"
    folder.mkdir()
    with running_clamd(folder) as made:
        yield made


@pytest.fixture
def chat(tmp_path: Path, clamd: Clamd) -> Iterator[Deployment]:
    """A chat that has a scanner."""
    with deployed(tmp_path, "sqlite") as made:
        made.environment["CLAMD_URL"] = clamd.unix
        made.start_api()
        made.start_worker()
        yield made


@pytest.fixture
async def app(chat: Deployment) -> AsyncIterator[App]:
    """The store of its jobs."""
    async with App(chat.store_url) as app:
        yield app


async def test_files_are_scanned_first(
    chat: Deployment, app: App, clamd: Clamd, tmp_path: Path
) -> None:
    """CH-25, CH-6: a scanner that is away costs a retry after 5 s, and nothing passes meanwhile."""
    user = await chat.sign_up()
    path = tmp_path / "a.png"
    await asyncio.to_thread(magick, "-size", "200x100", "plasma:", path)
    clean = path.read_bytes()

    answer = await chat.upload(user, clean, "image/png")
    good = await chat.job(app, FILES, answer["processing"]["jobId"])
    answer = await chat.upload(user, clean + eicar(), "image/png")
    bad = await chat.job(app, FILES, answer["processing"]["jobId"])
    clamd.kill()
    answer = await chat.upload(user, clean, "image/png")
    job = app.queue(FILES).job(answer["processing"]["jobId"])

    async def waits() -> bool:
        return (await job.info()).state == "delayed"

    await wait_until(waits, what="the retry")
    await asyncio.to_thread(clamd.start)
    late = await chat.job(app, FILES, job.id)

    assert good.state == "completed", good.failed_reason
    assert (bad.state, bad.attempts_started) == ("failed", 1)
    assert "Eicar" in str(bad.failed_reason)
    assert (late.state, late.attempts_started) == ("completed", 2)
    assert late.processed_at is not None
    wait_s = (late.processed_at - late.attempts[0].ended_at).total_seconds()
    assert wait_s >= 4.99
