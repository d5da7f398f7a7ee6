"""What a running task says of its own job's payload, and the check of what it says.

Read next: `context.py` (`Context.update_data`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from toril.core.errors import InvalidPayloadError, LeaseLostError, PayloadTooLargeError
from toril.engine.contract.dispatch import AttemptMessage

if TYPE_CHECKING:
    from toril.engine.attempt import Attempt
    from toril.engine.message_sender import MessageSender


class DataChanged(msgspec.Struct, tag="data_changed", frozen=True):
    """The task replaces the payload of its job: JSON text."""

    data: str


async def change_data(attempt: Attempt, text: str, sender: MessageSender) -> bytes:
    """Store another payload of an attempt's job. On the worker's loop.

    Parameters:
        attempt: Whose task says so.
        text: The payload, which need not come from our code: a child process may run anybody's.
        sender: Speaks to the store.

    Raises:
        InvalidPayloadError: It is not JSON, or does not fit the task: no attempt could begin.
        PayloadTooLargeError: It is larger than the task takes.
        LeaseLostError: The attempt does not hold its job any more.
        BackendError: The store did not answer; it may have stored the payload.
    """
    # Here: a child process needs none of it.
    from toril.engine.new_jobs import is_json
    from toril.engine.wire_options import from_wire

    claimed, handler = attempt.claimed, attempt.handler
    assert handler is not None  # noqa: S101 - its task asks
    if not is_json(text):
        raise InvalidPayloadError(claimed.name, "(payload)", "not JSON that can be stored")
    size, limit = len(text.encode()), from_wire(claimed.opts).max_payload_bytes
    limit = limit or handler.max_payload_bytes
    if size > limit:
        raise PayloadTooLargeError(
            claimed.name,
            "(payload)",
            f"{size} bytes; at most max_payload_bytes={limit}. Store large data elsewhere and pass"
            " its address",
        )
    handler.arguments(text)
    if handler.seals is not None:
        text = handler.seals.seal(text)
    message = AttemptMessage(
        claimed.queue,
        claimed.number,
        claimed.id,
        claimed.token,
        claimed.attempts_started,
        data=text,
    )
    if attempt.settled or await sender.send_now(message) == "lease_lost":
        raise LeaseLostError(
            f"job {claimed.id!r} of queue {claimed.queue!r}: this attempt holds it no more, and its"
            " payload was not changed",
            job_id=claimed.id,
            queue=claimed.queue,
        )
    claimed.data = text  # for a retry rule, which is told the job
    return b""
