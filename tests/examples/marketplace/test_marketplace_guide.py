"""The page about adding a job type is followed, step by step, in a copy of the example."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.example_processes import ROOT, inherited

pytestmark = pytest.mark.timeout(300)
PAGE = ROOT / "docs/systems/marketplace/index.md"
QUEUE = """
[gift-cards]
job = "make-gift-card"
concurrency = 2
attempts = 3
backoff = 1000
removeOnComplete = 100
removeOnFail = 50
priority = "normal"
"""
TASK = """

@told.task(name="make-gift-card", queue="gift-cards")
async def make_gift_card(amount: int, owner: str) -> str:
    return f"{owner}: {amount}"
"""
USE = """
import asyncio, json
from examples.marketplace import services as s
from examples.marketplace.app import app, prepare, work

async def main():
    async with app:
        await prepare()
        job = await s.add_gift_card_job(amount=5, owner="Ann")
        await app.worker().run(until_idle=True)
        info = await job.info()
        queues = sorted(queue.name for queue in await app.queues())
        print("SAID", json.dumps([info.state, info.result, info.name, queues]))
        await work.close()

asyncio.run(main())
"""


def steps() -> list[str]:
    """Return the steps of the page."""
    part = PAGE.read_text("utf-8").partition("## Add a job type\n")[2].partition("\n## ")[0]
    return re.findall(r"^\d\. (.+)$", part, re.MULTILINE)


def test_page_of_adding_a_job_type_holds(tmp_path: Path) -> None:
    """MP-74: each step's place and form are those of the page; the queue is there by itself."""
    payload, queue, task, producer, dashboard = steps()
    assert payload.startswith("**Payload**: the parameters of a function")
    assert "`queues.toml`" in queue
    assert "`@told.task(name=…, queue=…)` in `shop.py`" in task
    assert '`services.py`: `add_thing_job = partial(add, "things")`' in producer
    assert "nothing to do" in dashboard

    shutil.copytree(
        ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__")
    )
    example = tmp_path / "examples/marketplace"
    for name, more in (
        ("queues.toml", QUEUE),
        ("shop.py", TASK),
        ("services.py", 'add_gift_card_job = partial(add, "gift-cards")\n'),
    ):
        path = example / name
        path.write_text(path.read_text("utf-8") + more, "utf-8")
    environment = {**inherited("TORIL_", "REDIS_", "EMAIL_"), "DATA_DIR": str(tmp_path / "d")}
    ran = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, capture_output=True, text=True, timeout=240,
        check=False, env=environment,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    (line,) = re.findall(r"^SAID (.+)$", ran.stdout, re.MULTILINE)
    state, result, name, queues = json.loads(line)
    assert (state, result, name) == ("completed", "Ann: 5", "make-gift-card")
    assert "gift-cards" in queues
