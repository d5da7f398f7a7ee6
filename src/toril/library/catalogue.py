"""Every ready-made task with its promise sheet: what the docs print, and a test holds complete."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from toril.engine.options import KeepPolicy, RetryPolicy
from toril.library.promises import Promise
from toril.tasks.bundle import TaskBundle
from toril.tasks.task import Task

FAMILIES = (
    "analytics",
    "cleanup",
    "deadletter",
    "documents",
    "email",
    "exports",
    "files",
    "flows",
    "images",
    "notify",
    "payments",
    "push",
    "referrals",
    "reports",
    "scanning",
    "sync",
    "video",
    "warming",
)
"""Packages of this folder. Each has `tasks.py` with a bundle, and `promises.py`."""

_PLACES = {"loop": "on the event loop", "thread": "in threads", "process": "in child processes"}


def tasks_of(family: str) -> list[Task[Any, Any]]:
    """Return the tasks of a family, in the order in which they are declared."""
    module = importlib.import_module(f"toril.library.{family}.tasks")
    bundles = [value for value in vars(module).values() if isinstance(value, TaskBundle)]
    return [task for bundle in bundles for task in bundle.tasks]


def promises_of(family: str) -> dict[str, Promise]:
    """Return what a family promises, by the names of its tasks."""
    found: dict[str, Promise] = importlib.import_module(f"toril.library.{family}.promises").PROMISES
    return found


def sheet(task: Task[Any, Any], promise: Promise) -> Iterator[tuple[str, str]]:
    """Yield the lines of a task's promise sheet: what is promised, and the promise in Markdown."""
    options = task.options
    yield "Queue", f"`{options.queue}`, {_PLACES[options.run_in]}"
    yield "Time limit", "none" if options.timeout_s is None else f"{options.timeout_s:g} s"
    yield "Retry", _retry(options.retry)
    kept = f"{_kept(options.keep_completed)} completed, {_kept(options.keep_failed)} failed"
    yield "Kept", kept
    yield "Idempotency key", promise.idempotency_key
    yield "A second run", promise.second_run
    yield "Side effects", promise.side_effects
    yield "Services", promise.services
    yield "Progress", promise.progress
    yield "Cancelling", promise.cancelling
    if promise.memory:
        yield "Memory limit", promise.memory
    yield "Payload version", str(promise.payload_version)


def _retry(policy: RetryPolicy) -> str:
    if policy.max_attempts == 1:
        return "one attempt"
    text = f"{policy.max_attempts} attempts, {_waits(policy)}"
    if policy.give_up_on:
        names = ", ".join(f"`{kind.__name__}`" for kind in policy.give_up_on)
        text += f"; never after {names}"
    return text


def _waits(policy: RetryPolicy) -> str:
    if policy.wait is not None:
        return "waits by a rule of its own"
    if policy.backoff == "fixed":
        return f"{policy.base_s:g} s apart"
    shown = min(policy.max_attempts - 1, 4)
    waits = [f"{min(policy.base_s * 2**n, policy.cap_s):g} s" for n in range(shown)]
    more = " and so on" if policy.max_attempts - 1 > shown else ""
    return f"after {', '.join(waits)}{more}"


def _kept(policy: KeepPolicy) -> str:
    if policy.count == 0:
        return "no"
    newest = "all" if policy.count is None else f"the newest {policy.count:,}"
    if policy.age_s is None:
        return newest
    return f"{newest} for {policy.age_s / 86_400:g} days"
