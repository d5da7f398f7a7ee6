"""Warnings of slow habits, in processes of their own: they depend on how Python was started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, sys, warnings
import httpx2
from starlette.responses import JSONResponse
from starlette.routing import Route
from toril import App, HabitWarning
from toril.web.serving import HttpServer
from toril.web.site import site

app = App(f"sqlite:///{sys.argv[1]}/toril.db")

@app.task(queue="greetings")
async def greet(name: str) -> str:
    return f"hello {name}"

async def waits(request):
    job = await greet.enqueue(name="Jo")
    return JSONResponse(await job.result(timeout_s=60))

async def main():
    server = HttpServer(site(app, [Route("/waits", waits)]), host="127.0.0.1", port=0)
    await server.start()
    async with app.worker():
        await asyncio.gather(*(greet.enqueue(name=f"n{n}") for n in range(50)))
        await greet.enqueue_many([{"name": f"n{n}"} for n in range(60)])
        print("so far", sum(issubclass(one.category, HabitWarning) for one in caught))
        await asyncio.gather(*(greet.enqueue(name=f"n{n}") for n in range(51)))
        job = await greet.enqueue(name="Jo")
        await job.result(timeout_s=60)
        async with httpx2.AsyncClient(base_url=server.url, timeout=60) as http:
            print((await http.get("/waits")).json())
    await server.stop()

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    asyncio.run(main())
for each in caught:
    if issubclass(each.category, HabitWarning):
        print(each.message)
"""


@pytest.mark.parametrize("options", [[], ["-X", "dev"]], ids=["as usual", "development"])
def test_habits_are_warned_of_in_development_only(tmp_path: Path, options: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, *options, "-c", PROGRAM, str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    before, answer, *warned = ran.stdout.splitlines()
    assert answer == "hello Jo"
    if not options:
        assert warned == []
        return
    assert before == "so far 0"
    many, waiting = warned
    assert many.startswith("51 jobs were added one by one")
    assert "'greetings': enqueue_many() of a task" in many
    assert waiting.startswith("GET /waits waits for the result of job ")
