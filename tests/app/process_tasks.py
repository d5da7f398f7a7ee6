"""Tasks for child processes, which import this module. The app's store is never opened there."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toril import App, Context, RetryPolicy, Settings, WholePayload, provided

app = App("sqlite://:memory:", settings=Settings())
ONCE = RetryPolicy(max_attempts=1)


@dataclass(frozen=True)
class Scale:
    factor: int


@app.task(run_in="process", retry=ONCE)
def multiply(n: int, *, scale: Scale = provided(Scale)) -> int:
    return n * scale.factor


@app.task(run_in="process", retry=ONCE)
async def on_a_loop_there(n: int) -> list[int]:
    return [n, os.getpid()]


@app.task(run_in="process", retry=ONCE)
def talk(ctx: Context) -> str:
    ctx.progress({"half": True})
    ctx.log("from a child")
    ctx.enqueue("multiply", {"n": 2})
    return ctx.idempotency_key


@app.task(run_in="process", retry=ONCE)
def fail(kind: str) -> None:
    match kind:
        case "value":
            raise ValueError("no")
        case "exit":
            raise SystemExit(3)
        case "result":
            return float("nan")  # type: ignore[return-value]
        case _:
            os._exit(7)


@app.task(run_in="process", retry=ONCE, timeout=0.3)
def hang(mark: str) -> None:
    Path(mark).write_text(str(os.getpid()))
    time.sleep(3600)


@app.task(run_in="process", retry=ONCE)
def hang_long(mark: str) -> None:
    Path(mark).write_text(str(os.getpid()))
    time.sleep(3600)


@app.task(run_in="process", retry=ONCE)
def raw(ctx: Context) -> Any:
    return ctx.data


@app.task(run_in="process", retry=ONCE)
def keyed(numbers: WholePayload[dict[int, bytes]]) -> dict[int, bytes]:
    return numbers


@app.task(run_in="process", retry=ONCE)
def later(n: int) -> Awaitable[int]:
    return asyncio.sleep(0, n)
