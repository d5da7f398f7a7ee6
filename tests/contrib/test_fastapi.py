"""The page about FastAPI as its reader has it: uvicorn, a worker beside it, and a client."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.cli.support import PATIENCE_S, Running
from tests.contrib.django_project import clean
from tests.house.pages import blocks
from tests.support.ports import reserve_port
from tests.support.waiting import wait_until_sync

PAGE = Path(__file__).parents[2] / "docs" / "frameworks" / "fastapi.md"


class Site:
    """The files of the page in a folder, and what runs there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Running] = []
        self.page = blocks(PAGE.read_text("utf-8"))
        for block in self.page:
            if block.title is not None:
                (folder / block.title).write_text(block.text, "utf-8")

    def start(self, *words: str) -> Running:
        """Start a module of Python's and let it go on."""
        log = self.folder / f"log-{len(self.started)}.txt"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=self.folder, env=clean(), stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.started.append(Running(process, log))
        return self.started[-1]

    def worker(self) -> Running:
        """Start a worker, and wait until it is at work."""
        return self.start("toril", "worker", "jobs:app", "--max-stalled", "3").says("started: Tor")

    def serve(self) -> tuple[Running, httpx.Client]:
        """Start the server, and return a client of it."""
        port = reserve_port()
        server = self.start("uvicorn", "web:web", "--port", str(port)).says("startup complete")
        server.says("running on")
        return server, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    for each in made.started:
        if each.process.poll() is None:
            os.killpg(each.pid, signal.SIGKILL)
            each.process.wait()


def test_a_job_is_started_watched_and_streamed(site: Site) -> None:
    server, client = site.serve()
    worker = site.worker()
    with client:
        first = client.post("/exports", json={"pages": 20})
        assert first.status_code == 202
        path = f"/exports/{first.json()['id']}"
        seen: set[int] = set()

        def done() -> bool:
            now = client.get(path).json()
            seen.add(now["progress"])
            return bool(now["state"] == "completed")

        wait_until_sync(done, deadline_s=PATIENCE_S, what="the export")
        assert len(seen) > 1, "its progress is seen on the way"
        assert client.get(path).json() == {
            "state": "completed", "progress": 100, "result": {"rows": 2000}, "error": None,
        }  # fmt: skip

        second = client.post("/exports", json={"pages": 4}).json()["id"]
        for _ in range(2):  # on its way, and when it is done
            streamed = client.get(f"/exports/{second}/events").text
            assert streamed.endswith("event: completed\ndata: 100\n\n"), streamed
        assert client.get("/exports/99").status_code == 404
        assert client.get("/exports/99/events").status_code == 404
        assert client.post("/exports", json={"pages": 0}).status_code == 422

    server.tell(signal.SIGTERM)
    worker.tell(signal.SIGTERM)
    assert server.ends() in (0, -signal.SIGTERM)
    assert worker.ends() == 0
    assert "Traceback" not in server.log + worker.log


def test_an_export_survives_its_worker(site: Site) -> None:
    _, client = site.serve()
    first = site.worker()
    with client:
        path = f"/exports/{client.post('/exports', json={'pages': 100}).json()['id']}"
        wait_until_sync(
            lambda: client.get(path).json()["progress"] not in (None, 0),
            deadline_s=PATIENCE_S,
            what="the first page",
        )

        os.killpg(first.pid, signal.SIGKILL)
        first.process.wait()
        site.worker()

        wait_until_sync(
            lambda: client.get(path).json()["state"] == "completed",
            deadline_s=PATIENCE_S + 20,
            what="the export",
        )


def test_the_server_may_run_the_jobs_itself(site: Site) -> None:
    (fragment,) = [one.text for one in site.page if "jobs.worker(" in one.text]
    (block,) = [line.strip() for line in fragment.splitlines() if "jobs.worker(" in line]
    web = site.folder / "web.py"
    text = web.read_text("utf-8")
    before = next(line.strip() for line in text.splitlines() if "async with jobs" in line)
    web.write_text(text.replace(before, block), "utf-8")
    server, client = site.serve()

    with client:
        job = client.post("/exports", json={"pages": 2}).json()["id"]
        streamed = client.get(f"/exports/{job}/events").text

    assert streamed.endswith("event: completed\ndata: 100\n\n")
    server.tell(signal.SIGTERM)
    assert server.ends() in (0, -signal.SIGTERM)
    assert "Traceback" not in server.log


def test_the_test_of_the_page_passes(site: Site) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import test_web; test_web.test_an_export(); print('passed')"],
        cwd=site.folder, env=clean(), capture_output=True, text=True, check=False,
        timeout=PATIENCE_S,
    )  # fmt: skip

    assert done.stdout == "passed\n", done.stderr
    assert not (site.folder / "toril.db").exists()
