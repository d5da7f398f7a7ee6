"""An app with a lifespan, whose tasks run in child processes, which import this module."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from toril import App, RetryPolicy, Settings, TaskBundle, provided

ONCE = RetryPolicy(max_attempts=1)


@dataclass(frozen=True)
class Notes:
    """A file in which is written what happens. The worker's app provides it."""

    path: Path

    def write(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{text} {os.getpid()}\n")


@dataclass
class Pool:
    """What belongs to one event loop, and cannot be pickled."""

    loop: asyncio.AbstractEventLoop
    is_open: bool = True
    uses: int = 0
    users: list[str] = field(default_factory=list)


@dataclass
class Client:
    pool: Pool
    name: str


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[Pool]:
    notes = app._registry.provisions.all().get(Notes)
    assert isinstance(notes, Notes)
    if (notes.path.parent / "refuse").exists():
        raise ConnectionRefusedError("nobody listens")
    pool = Pool(asyncio.get_running_loop())
    notes.write("open")
    yield pool
    await asyncio.sleep(0)
    pool.is_open = False
    notes.write("close")


app = App("sqlite://:memory:", settings=Settings(), lifespan=lifespan)
bundle = TaskBundle()


@app.on_start
def make_client(pool: Pool = provided(Pool)) -> Client:
    return Client(pool, "made")


@app.on_stop
async def drop_client(client: Client = provided(Client), notes: Notes = provided(Notes)) -> None:
    notes.write(f"drop {client.name} {client.pool.is_open}")


@app.task(retry=ONCE)
async def on_the_loop(client: Client = provided(Client)) -> list[int]:
    assert client.pool.loop is asyncio.get_running_loop()
    client.pool.uses += 1
    return [os.getpid(), client.pool.uses]


@app.task(run_in="process", retry=ONCE)
async def in_a_process(client: Client = provided(Client)) -> list[int]:
    assert client.pool.loop is asyncio.get_running_loop()
    client.pool.uses += 1
    return [os.getpid(), client.pool.uses]


@bundle.task(run_in="process", retry=ONCE)
def of_a_bundle(pool: Pool = provided(Pool)) -> list[int]:
    pool.uses += 1
    return [os.getpid(), pool.uses]


app.include(bundle)
