"""Tasks for child processes, which import this module. The app's store is never opened there."""

from __future__ import annotations

import asyncio
import contextvars
import decimal
import os
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toril import (
    App,
    Context,
    InvalidPayloadError,
    JobDraft,
    RetryPolicy,
    Settings,
    WholePayload,
    provided,
)
from toril.engine.context_data import DataChanged

app = App("sqlite://:memory:", settings=Settings())
tenant = contextvars.ContextVar("tenant", default="none")
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


@app.task(queue="after")
async def after(n: int) -> int:
    return n


@app.task(run_in="process", retry=ONCE)
def follow(ctx: Context, how: str) -> str:
    """Add follow-up jobs; what is refused is told in the log, and makes no difference."""
    ctx.enqueue(after.with_options(delay=60, job_id="mine"), n=1)
    ctx.enqueue("after", {"n": 2})
    for wrong in (
        lambda: ctx.enqueue(after, n="one"),  # type: ignore[call-overload]
        lambda: ctx.enqueue("after", {"n": 1, "m": 2}),
        lambda: ctx.enqueue("aftre"),
        lambda: ctx.enqueue("any", {"x": "\ud83e"}, queue="else"),
        lambda: ctx.enqueue("any", queue="a:b"),
    ):
        try:
            wrong()
        except ValueError as error:
            ctx.log(f"{type(error).__name__}: {error}")
    if how == "raise":
        ctx.enqueue("aftre")
    return how


@app.task(run_in="process", retry=ONCE)
def spoil(n: int) -> tuple[str, int, int]:
    found = (tenant.get(), decimal.getcontext().prec, os.getpid())
    tenant.set("of another job")
    decimal.getcontext().prec = 3
    return found


counted = App("sqlite://:memory:", settings=Settings())
"""An app whose children have its enqueue middleware, too."""


@counted.enqueue_middleware
def count(job: JobDraft) -> None:
    job.payload["passed"] = [*job.payload.get("passed", []), tenant.get(), os.getpid()]
    if "exit" in job.payload:
        raise SystemExit(3)


@counted.task(queue="counted", run_in="process", retry=ONCE)
def ask_twice() -> None: ...


@counted.task(run_in="process", retry=ONCE)
def ask(ctx: Context, *, leave: bool = False) -> int:
    ctx.enqueue(ask_twice)
    ctx.enqueue("ask_twice", queue="counted")
    if leave:
        ctx.enqueue("leaves", {"exit": True}, queue="counted")
    return os.getpid()


STEPS = RetryPolicy(max_attempts=3, base_s=0)


@app.task(run_in="process", retry=STEPS)
def step_on_sync(ctx: Context, step: int, note: str = "") -> list[Any]:
    done = _step_on(ctx, step)
    if done:
        return done
    ctx.update_data_sync({"step": step + 1, "note": note})
    return _fail()


@app.task(run_in="process", retry=STEPS)
async def step_on(ctx: Context, step: int, note: str = "") -> list[Any]:
    done = _step_on(ctx, step)
    if done:
        return done
    await ctx.update_data({"step": step + 1, "note": note})
    assert ctx.data == {"step": step + 1, "note": note}
    return _fail()


@app.task(run_in="process", retry=ONCE)
def change_wrongly(ctx: Context, step: int) -> str:
    try:
        ctx.update_data_sync({"step": "no number"})
    except InvalidPayloadError as error:
        return str(error)
    return "no error"


@app.task(run_in="process", retry=ONCE)
def change_to_nonsense(ctx: Context) -> str:
    try:
        ctx._ask_sync(DataChanged('{"half":'))
    except InvalidPayloadError as error:
        return str(error)
    return "no error"


def _step_on(ctx: Context, step: int) -> list[Any]:
    return [] if step < 2 else [ctx.attempt, ctx.data, ctx.options]


def _fail() -> list[Any]:
    raise OSError("not yet")
