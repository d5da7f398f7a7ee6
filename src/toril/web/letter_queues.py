"""Finds the dead-letter queues, and whose failures leave letters in each."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

from toril.app import App
from toril.engine.dead_letters import DEAD_LETTER
from toril.engine.info import QueueInfo
from toril.engine.letters import is_letter
from toril.rest.answers import LetterQueue
from toril.web.call import Call

AT_ONCE = 16
"""Queues whose settings are read at the same time."""


def declared_letter_queues(app: App) -> set[str]:
    """Return the names of dead-letter queues that an app's tasks declare, and the usual name.

    Nobody is meant to work them, so that none of them lacks a worker.
    """
    return {DEAD_LETTER, *(task.dead_letter for task in app.tasks() if task.dead_letter)}


async def unworked_queues(
    call: Call, queues: Iterable[QueueInfo], served: Collection[str] | None
) -> set[str]:
    """Return the names of dead-letter queues, those that the application does not declare too.

    Such a one has jobs in line that nobody works, and the next of them is a letter. Costs a call of
    the store for each queue that has jobs in line and no worker.

    Parameters:
        call: Who asks.
        queues: As they were just read.
        served: Those that a worker serves; None: nobody can say.
    """
    declared = declared_letter_queues(call.app)
    gate = asyncio.Semaphore(AT_ONCE)

    async def holds_letters(name: str) -> bool:
        async with gate:
            page = await call.queue(name).jobs(("wait", "prioritized"), limit=1)
        return any(is_letter(job.id) for job in page.jobs)

    doubtful = [
        info.name
        for info in queues
        if (info.waiting or info.prioritized)
        and info.name not in declared
        and (served is None or info.name not in served)
    ]
    found = await asyncio.gather(*map(holds_letters, doubtful))
    return declared | {name for name, holds in zip(doubtful, found, strict=True) if holds}


async def letter_queues(call: Call) -> list[LetterQueue]:
    """Return the dead-letter queues that the caller may see, by name.

    One that nothing names is known only by its usual name.
    """
    found = {info.name: info for info in await call.queues()}
    gate = asyncio.Semaphore(AT_ONCE)

    async def target(name: str) -> str | None:
        async with gate:
            return await call.queue(name).dead_letter()

    targets = dict(zip(found, await asyncio.gather(*map(target, found)), strict=True))
    named = [(task.dead_letter, task.queue) for task in call.app.tasks() if task.dead_letter]
    sources: dict[str, set[str]] = {DEAD_LETTER: set()} if call.sees(DEAD_LETTER) else {}
    for letters, queue in [*((word, name) for name, word in targets.items() if word), *named]:
        if call.sees(letters):
            sources.setdefault(letters, set()).update({queue} if call.sees(queue) else ())
    for name in sources:
        # A store that lists what was added to does not list what only letters were written to.
        if name not in found and (info := await call.queue(name).info()) is not None:
            found[name] = info
    if not sources.get(DEAD_LETTER) and DEAD_LETTER not in found:
        sources.pop(DEAD_LETTER, None)
    return [
        LetterQueue(
            name=name,
            letters=found[name].waiting + found[name].prioritized if name in found else 0,
            of_queues=sorted(queues),
        )
        for name, queues in sorted(sources.items())
    ]
