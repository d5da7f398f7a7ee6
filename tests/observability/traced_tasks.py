"""Tasks in all three places, each of which makes a span; and what adds jobs from them.

A child process imports this module, and sends its spans by an exporter of its own.
"""

from __future__ import annotations

import logging
import os
from functools import cache

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer
from tests.support.otlp import exporting

from toril import Context, RetryPolicy, TaskBundle

URL = "TRACES_URL_OF_THIS_TEST"
"""The variable by which child processes are told where spans go."""

bundle = TaskBundle()
worker_provider: TracerProvider | None = None
"""What makes the spans in the process of the test."""


@cache
def provider_of_child() -> TracerProvider:
    return exporting(os.environ[URL], at_once=True, pid=os.getpid())


def tracer() -> Tracer:
    return (worker_provider or provider_of_child()).get_tracer("shop")


@bundle.task(queue="loop")
async def order(context: Context) -> None:
    with tracer().start_as_current_span("in loop"):
        context.enqueue(pack)


@bundle.task(queue="thread", run_in="thread")
def pack(context: Context) -> None:
    with tracer().start_as_current_span("in thread"):
        context.enqueue(weigh)


@bundle.task(queue="process", run_in="process")
async def weigh(context: Context) -> int:
    with tracer().start_as_current_span("in child"):
        logging.getLogger("shop").warning("weighing")
        context.enqueue(ship)
    return os.getpid()


@bundle.task(queue="process", run_in="process")
async def split(context: Context) -> None:
    if not await context.children_results():
        with tracer().start_as_current_span("splitting"):
            await context.add_children([part.node(n) for n in range(2)])
        await context.wait_for_children()


@bundle.task(queue="loop")
async def ship() -> None:
    with tracer().start_as_current_span("shipping"):
        pass


@bundle.task(queue="loop")
async def part(n: int) -> int:
    with tracer().start_as_current_span(f"part {n}"):
        return n


@bundle.task(queue="loop")
async def whole(context: Context) -> int:
    with tracer().start_as_current_span("whole"):
        return sum((await context.children_results()).values())


@bundle.task(queue="loop", retry=RetryPolicy(max_attempts=2, base_s=0))
async def fails() -> None:
    raise ValueError("no paper")
