"""Tasks of flows: parents on the loop, in threads and in processes, and their children."""

from __future__ import annotations

from typing import Any

from toril import Context, Fail, RetryPolicy, TaskBundle

ONCE = RetryPolicy(max_attempts=1)
bundle = TaskBundle()


@bundle.task(queue="kids", retry=ONCE)
async def square(n: int) -> int:
    """Return the square."""
    return n * n


@bundle.task(queue="kids", retry=ONCE)
async def word(text: str) -> str:
    """Return the text."""
    return text


@bundle.task(queue="kids", retry=ONCE)
async def broken(why: str) -> None:
    """Fail for good."""
    raise Fail(why)


@bundle.task(queue="kids", retry=ONCE)
async def total(start: int) -> int:
    """Add the results of the children: a parent that is a child itself."""
    return start


@bundle.task(queue="parents", retry=ONCE)
async def read_on_loop(context: Context) -> dict[str, Any]:
    """Return all that a parent knows."""
    return {
        "results": await context.children_results(),
        "squares": sorted((await context.children_results(square)).values()),
        "failures": await context.children_failures(),
        "ignored": await context.ignored_children(),
    }


def _read(context: Context) -> dict[str, Any]:
    return {
        "results": context.children_results_sync(),
        "squares": sorted(context.children_results_sync(square).values()),
        "failures": context.children_failures_sync(),
        "ignored": context.ignored_children_sync(),
    }


@bundle.task(queue="parents", retry=ONCE, run_in="thread")
def read_in_thread(context: Context) -> dict[str, Any]:
    """The same in a thread."""
    return _read(context)


@bundle.task(queue="parents", retry=ONCE, run_in="process")
def read_in_process(context: Context) -> dict[str, Any]:
    """The same in a process."""
    return _read(context)


@bundle.task(queue="parents", retry=ONCE, run_in="process")
async def read_async_in_process(context: Context) -> dict[str, Any]:
    """The same in a process, as a coroutine."""
    return {
        "results": await context.children_results(),
        "squares": sorted((await context.children_results(square)).values()),
        "failures": await context.children_failures(),
        "ignored": await context.ignored_children(),
    }


@bundle.task(queue="parents", retry=ONCE)
async def add_on_loop(context: Context, many: int) -> list[Any]:
    """Add children while running, wait for them, and return what they did."""
    if not await context.children_results():
        ids = await context.add_children([square.node(n) for n in range(many)])
        assert len(set(ids)) == many
    await context.wait_for_children()
    return [sorted((await context.children_results(square)).values()), context.attempt]


def _add(context: Context, many: int) -> list[Any]:
    if not context.children_results_sync():
        context.add_children_sync([square.node(n) for n in range(many)])
    context.wait_for_children_sync()
    return [sorted(context.children_results_sync(square).values()), context.attempt]


@bundle.task(queue="parents", retry=ONCE, run_in="thread")
def add_in_thread(context: Context, many: int) -> list[Any]:
    """The same in a thread."""
    return _add(context, many)


@bundle.task(queue="parents", retry=ONCE, run_in="process")
def add_in_process(context: Context, many: int) -> list[Any]:
    """The same in a process."""
    return _add(context, many)


@bundle.task(queue="parents", retry=ONCE)
async def go_on_alone(context: Context) -> list[Any]:
    """Go on without the children that have not ended."""
    removed = await context.remove_children()
    return [removed, await context.ignored_children()]


@bundle.task(queue="parents", retry=ONCE)
async def blocks(context: Context) -> None:
    """Use the words of plain code on the event loop."""
    context.children_results_sync()
