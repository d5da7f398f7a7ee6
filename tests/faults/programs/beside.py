"""A program that adds without a pause while `sqlite3` opens and closes its file, in a thread.

What was acknowledged is printed: `notes/<id>`, one line each. The first argument: how many jobs;
the second: `reads`, `copies`, or `alone`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from toril import App

app = App()


async def main(many: int, path: str, kind: str) -> None:
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            connection = sqlite3.connect(path)
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            connection.close()

    def copy() -> None:
        while not stop.is_set():
            with tempfile.TemporaryDirectory() as folder:
                for part in Path(path).parent.glob("jobs.db*"):
                    shutil.copy(part, folder)

    beside: dict[str, Callable[[], object]] = {"reads": read, "copies": copy, "alone": int}
    thread = threading.Thread(target=beside[kind])
    async with app:
        await add()
        thread.start()
        for _ in range(0, many, 10):
            await asyncio.gather(*(add() for _ in range(10)))
        stop.set()
        thread.join()


async def add() -> None:
    job = await app.queue("notes").add("note", {"padding": "x" * 300})
    os.write(1, f"notes/{job.id}\n".encode())


if __name__ == "__main__":
    asyncio.run(
        main(int(sys.argv[1]), os.environ["TORIL_URL"].removeprefix("sqlite:///"), sys.argv[2])
    )
