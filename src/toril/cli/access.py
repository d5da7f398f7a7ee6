"""Opens an app's store for one command, and finds the queue that the command names."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast

import click

from toril.app import App
from toril.cli.codes import STATE, RefusedError
from toril.cli.options import SERVER, SERVER_IS_DEFAULT
from toril.core.checks import nearest
from toril.core.errors import JobNotFoundError
from toril.engine.handle import Job
from toril.engine.info import QueueInfo
from toril.engine.operations import MAX_ACTOR_CHARS, acting
from toril.engine.queue import Queue

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def ask(url: str | None, action: Callable[[App], Awaitable[T]], *, create: bool = False) -> T:
    """Open the store, do something with it on behalf of who runs the command, and let go of it.

    Parameters:
        url: Where it is. None: what the settings say.
        action: What to do.
        create: Make the store when it is not there. Commands that only look do not.

    Raises:
        BackendError: It cannot be opened; the message says why and what to do.
    """

    async def whole() -> T:
        server = server_of_command(url)
        if server is not None:
            from toril.cli.remote import remote_app

            async with remote_app(server) as there:
                return await action(cast("App", there))  # it has the methods that commands use
        app = App(url) if create else App(url).existing()
        with acting(who()):
            async with app:
                return await action(app)

    return asyncio.run(whole())


def server_of_command(url: str | None) -> str | None:
    """Return the server that the command asks; None: it asks the store.

    Parameters:
        url: The `--url` that it was given. It goes before `TORIL_SERVER`, and not with `--server`.

    Raises:
        UsageError: Both were given.
    """
    context = click.get_current_context(silent=True)
    found: str | None = None if context is None else context.meta.get(SERVER)
    if context is None or found is None or url is None:
        return found
    if not context.meta[SERVER_IS_DEFAULT]:
        raise click.UsageError("Give --url or --server, not both.")
    return None


def who() -> str:
    """Return the actor of a command: `cli:` and the name of the user that runs it."""
    try:
        import pwd  # not on every system

        name = pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):  # a container may run as a user without a name
        try:
            name = getpass.getuser()
        except (ImportError, KeyError, OSError):
            name = "unknown"
    printable = "".join(char if char.isprintable() else "?" for char in name)
    return f"cli:{printable}"[:MAX_ACTOR_CHARS]


async def existing_queue(app: App, name: str) -> tuple[Queue, QueueInfo]:
    """Return a queue that the store knows.

    Raises:
        RefusedError: It knows none of that name; the message names the nearest.
    """
    queue = app.queue(name, existing=True)
    info = await queue.info()
    if info is None:
        known = [each.name for each in await app.queues()]
        close = nearest(name, known)
        hint = f"did you mean {close!r}?" if close else "see toril queues"
        raise RefusedError(f"{app.backend().url} has no queue {name!r}: {hint}", STATE)
    return queue, info


def one_job(command: F) -> F:
    """Add the arguments that name one job, `[QUEUE] ID`, given to the command as `words`."""
    return click.argument("words", metavar="[QUEUE] ID", nargs=-1, required=True)(command)


async def named_job(app: App, words: Sequence[str]) -> Job[Any]:
    """Return the job that a command names by its queue and id, or by its id alone.

    Raises:
        UsageError: There are more words.
        RefusedError: No queue has a job of that id, or several have; the message names them.
    """
    if len(words) > 2:
        raise click.UsageError("Give one job: its queue and its id, or its id.")
    *queues, job_id = words
    if queues:
        return app.queue(queues[0], existing=True).job(job_id)
    found = []
    for info in await app.queues():
        job = app.queue(info.name, existing=True).job(job_id)
        with suppress(JobNotFoundError):
            await job.info()
            found.append(job)
    if len(found) == 1:
        return found[0]
    if not found:
        raise RefusedError(
            f"no queue of {app.backend().url} has a job {job_id!r}: it was removed, or never added",
            STATE,
        )
    names = ", ".join(job.queue for job in found[:5]) + (", …" if len(found) > 5 else "")
    raise RefusedError(
        f"{len(found)} queues have a job {job_id!r} ({names}): name the queue before the id", STATE
    )
