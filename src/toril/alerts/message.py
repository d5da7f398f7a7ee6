"""What people are told of an alert."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from toril.core.clock import moment

SEND_S = 30.0
"""How long a channel may take for one message, in seconds."""

AlertRule = Literal[
    "dead_letter", "error_rate", "error_surge", "queue_size", "queue_growth", "oldest_job",
    "no_worker", "worker_lost", "missed_schedule", "stuck_flow", "blocked_loop",
]  # fmt: skip
TITLES: dict[str, str] = {
    "dead_letter": "Jobs failed for good",
    "error_rate": "High error rate",
    "error_surge": "More errors than usual",
    "queue_size": "Queue is long",
    "queue_growth": "Queue grows",
    "oldest_job": "Jobs wait too long",
    "no_worker": "No worker",
    "worker_lost": "Worker lost",
    "missed_schedule": "Schedule missed",
    "stuck_flow": "Flow is stuck",
    "blocked_loop": "Event loop blocked",
    "many": "Many alerts",
    "test": "Test",
}


class AlertMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel is given to send."""

    id: str
    """The same for the same message, should it come twice."""
    rule: str
    """`dead_letter`, `queue_size`, …; `test` of `toril alerts test`."""
    queue: str
    """Which queue; of a rule about a worker all of its queues, with commas between."""
    state: Literal["raised", "recovered", "test"]
    value: float
    """What was measured, in the unit of the threshold."""
    threshold: float
    text: str
    """What is wrong, in one sentence."""
    at: datetime
    since: datetime
    """When it was first seen. `recovered`: since when it was over the threshold."""
    source: str
    """Whose alert: `AlertOptions.source`."""

    @property
    def title(self) -> str:
        """One line: what it is, and where."""
        what = TITLES.get(self.rule, self.rule)
        queues = self.queue.split(", ")
        if len(queues) > 3:  # of a worker; the message has them all
            queues = [*queues[:2], f"and {len(queues) - 2} more"]
        where = f": {', '.join(queues)}" if self.queue else ""
        return f"{'Recovered: ' if self.state == 'recovered' else ''}{what}{where}"

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values, as webhooks send it."""
        made: dict[str, Any] = msgspec.to_builtins(self)
        return made


class AlertChannel(Protocol):
    """Sends messages somewhere. Any object will do that has these."""

    @property
    def name(self) -> str:
        """What the log and `toril alerts` call it; no other channel of the app has it."""
        ...

    async def send(self, message: AlertMessage) -> None:
        """Send a message. Whatever it raises, the message is tried again later."""
        ...


def sample(source: str, *, now_ms: int, message_id: str) -> AlertMessage:
    """Return the message of `toril alerts test`."""
    return AlertMessage(
        id=message_id,
        rule="test",
        queue="",
        state="test",
        value=0,
        threshold=0,
        text="This is a test. Messages of alerts arrive here.",
        at=moment(now_ms),
        since=moment(now_ms),
        source=source,
    )
