"""`run_in="process"`: hands an attempt to a child process, and checks the result that comes back.

The pool of children is in `processes.py`. It is made for the first attempt that needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextvars import copy_context

from toril.core.codec import decode
from toril.engine.attempt import Attempt
from toril.engine.attempt_messages import AttemptMessages
from toril.engine.context import Context, TaskMessage
from toril.engine.context_flows import FlowAsked
from toril.engine.handler import Handler, Handlers
from toril.engine.outcomes import Fail
from toril.engine.runners.frames import ProcessCall
from toril.engine.runners.processes import ProcessOptions, ProcessSlots
from toril.engine.task_results import Encoded
from toril.engine.tracing import Tracer


class ProcessRunner:
    """Runs attempts of one worker in child processes."""

    def __init__(
        self,
        handlers: Handlers,
        options: ProcessOptions,
        messages: AttemptMessages,
        tracer: Tracer | None = None,
    ) -> None:
        self._handlers = handlers
        self._options = options
        self._messages = messages
        self._tracer = tracer
        self._slots: ProcessSlots | None = None

    async def run(
        self, attempt: Attempt, handler: Handler, context: Context, adapted: str | None = None
    ) -> Encoded:
        """Return the task's result.

        Parameters:
            adapted: The payload in place of the stored one.
        """
        if self._slots is None:
            self._slots = ProcessSlots(
                provided=self._handlers.provided_for_children(),
                options=self._options,
                is_full=lambda: self._messages.is_full,
                life_cycle=self._handlers.life_cycle_for_children(),
            )
        data = attempt.claimed.data if adapted is None else adapted
        if adapted is None and handler.seals is not None:  # a child needs no key
            data = handler.seals.open(data)
        carried = None if self._tracer is None else self._tracer.carried()
        call = ProcessCall(handler.target(), data.encode(), context.facts, carried)
        surroundings = copy_context()

        def hear(message: TaskMessage | FlowAsked) -> Awaitable[bytes] | None:
            # On the loop, and in the attempt's own context: enqueue middleware reads what
            # middleware around the attempt has set.
            answer = surroundings.run(self._messages.receive_from_child, attempt, message)
            if answer is None:
                return None
            return asyncio.get_running_loop().create_task(answer, context=surroundings)

        return _json(await self._slots.run(call, hear))

    async def close(self) -> None:
        """End the children. None may be at work any more."""
        if self._slots is not None:
            await self._slots.close()


def _json(result: bytes) -> Encoded:
    """Return the result that a child handed back, if it is JSON: not only our code runs there."""
    try:
        decode(result)
    except (ValueError, RecursionError) as error:
        raise Fail(f"the child process handed back a result that is no JSON: {error}") from None
    return Encoded(result.decode())
