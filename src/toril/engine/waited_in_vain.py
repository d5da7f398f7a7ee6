"""Says what somebody who has waited for a result in vain needs to know: who works, and where."""

from __future__ import annotations

import asyncio

from toril.core.errors import BackendError
from toril.engine.contract import Backend
from toril.engine.explain_facts import is_silent
from toril.engine.wording import plural

ASKED_S = 1.0
"""How much longer one who has waited may wait for the reason."""
SHOWN = 3
"""Queues that the sentence names."""


async def who_works(backend: Backend, queue: str) -> str:
    """Return in a sentence which live workers serve a queue of a store.

    For somebody who has waited in vain. At most three calls, in at most a second.
    """
    store = f"in {backend.url}"
    try:
        async with asyncio.timeout(ASKED_S):
            workers = [one for one in await backend.workers.list() if not is_silent(one)]
            serving = [one for one in workers if queue in one.queues]
            foreign = 0 if serving else await backend.workers.foreign(queue)
    except (BackendError, TimeoutError):
        return f"{store}; the store does not say whether a worker serves it"
    if serving:
        count = plural(len(serving), "live worker")
        verb = "serves" if len(serving) == 1 else "serve"
        return f"{count} {verb} it {store}; `await job.explain()` says why it is not done"
    if foreign:
        return f"only BullMQ serves it {store}, with {plural(foreign, 'worker')}"
    others = sorted({name for one in workers for name in one.queues})
    elsewhere = f" (live workers serve {', '.join(map(repr, others[:SHOWN]))})" if others else ""
    return (
        f"no live worker serves it {store}{elsewhere}; start one for this store with `toril worker"
        " MODULE:APP`"
    )
