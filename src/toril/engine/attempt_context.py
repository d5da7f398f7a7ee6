"""Makes the `Context` of an attempt, whoever runs it: a worker, or code with a loop of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toril.engine.attempt import Attempt
from toril.engine.context import Context, Facts
from toril.engine.follow_ups import FollowUps
from toril.engine.handler import Handler
from toril.engine.wire_options import from_wire


def give_context(
    attempt: Attempt,
    handler: Handler,
    emit: Callable[[Any], Any],
    *,
    worker_id: str,
    timeout_s: float | None,
) -> Context:
    """Make the context of an attempt, with room for its follow-up jobs, and return it.

    Parameters:
        attempt: Which has none yet.
        handler: Its task.
        emit: Takes what the task says; see `Context`.
        worker_id: Who holds the job.
        timeout_s: When the attempt is ended. None: it is not.
    """
    claimed = attempt.claimed
    facts = Facts(
        job_id=claimed.id,
        queue=claimed.queue,
        task=claimed.name,
        attempt=claimed.attempts_made + 1,
        max_attempts=from_wire(claimed.opts).max_attempts or handler.retry.max_attempts,
        worker_id=worker_id,
        created_at_ms=claimed.timestamp_ms,
        timeout_s=timeout_s,
        opts=claimed.opts,
    )
    attempt.follow_ups = FollowUps()
    data = claimed.data if handler.seals is None else handler.seals.open(claimed.data)
    attempt.context = Context(facts, emit, data, store=handler.store)
    return attempt.context
