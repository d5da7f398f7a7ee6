"""Logs what scripts found wrong with a queue's own keys, once a minute.

Such a queue stands still in part or as a whole. No error is raised, so the worker's other queues go
on.
"""

from __future__ import annotations

import time

from toril.core.loggers import logger

log = logger("toril.redis")

AGAIN_S = 60.0
"""How long until the same problem is logged again, in seconds."""


class Problems:
    """Logs problems of queues, and remembers which were logged."""

    def __init__(self) -> None:
        self._said_until_s: dict[tuple[str, str], float] = {}

    def report(self, queue: str, text: str) -> None:
        """Log what is wrong with a queue, unless it was logged within the last minute."""
        if self._is_news(queue, text):
            log.warning(
                "queue %r cannot be worked as it should, other queues go on: %s. `toril doctor`"
                " names the key, and says how to mend it",
                queue,
                text,
            )

    def refuse(self, queue: str, text: str) -> None:
        """Log why a queue is not worked at all, unless it was logged within the last minute."""
        if self._is_news(queue, text):
            log.warning("queue %r is not worked, other queues go on: %s", queue, text)

    def _is_news(self, queue: str, text: str) -> bool:
        now_s = time.monotonic()
        if self._said_until_s.get((queue, text), 0.0) > now_s:
            return False
        for one in [one for one, until_s in self._said_until_s.items() if until_s <= now_s]:
            del self._said_until_s[one]
        self._said_until_s[queue, text] = now_s + AGAIN_S
        return True
