"""What a push job has done, kept in the job's own payload, so that another attempt goes on there.

`Context.update_data` stores it: in one transition, for the attempt that holds the job only, on any
store. It goes away with the job.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from toril.engine.context import Context
from toril.library.push.payloads import Served

_BITS = re.compile(r"[0-9a-f]{1,65536}")

MAX_REASONS = 20
MAX_REASON_CHARS = 200
OTHER = "other"
FIELD = "served"
"""The member of the payload."""


class Record:
    """What is done of one job. Used on one event loop."""

    def __init__(self, context: Context, served: Served | None) -> None:
        """Go on where an earlier attempt ended.

        Parameters:
            context: Of the attempt.
            served: What earlier ones wrote. None: nothing, or the payload has another form.
        """
        before = served or _found(context.data) or Served()
        self._context = context
        self._users = _bits(before.users)
        self._done = dict.fromkeys(before.subscriptions)
        self.sent = before.sent
        self.failed = before.failed
        self._reasons = Counter(before.reasons)
        self._version = 0
        self._stored = 0
        self._storing = asyncio.Lock()

    def has_user(self, place: int) -> bool:
        """Whether the user at this place of the job's list is done."""
        return bool(self._users >> place & 1)

    def has(self, subscription_id: str) -> bool:
        """Whether a subscription is done."""
        return subscription_id in self._done

    def add(self, subscription_id: str, failure: str | None) -> None:
        """Note that a subscription is done: served, or refused for good with a reason."""
        self._done[subscription_id] = None
        self._version += 1
        if failure is None:
            self.sent += 1
        else:
            self.failed += 1
            self._reasons[failure[:MAX_REASON_CHARS]] += 1

    def add_user(self, place: int, subscription_ids: Iterable[str]) -> None:
        """Note that a user is done; the subscriptions need not be remembered then."""
        self._users |= 1 << place
        for each in subscription_ids:
            self._done.pop(each, None)

    def reasons(self, more: Iterable[str] = ()) -> dict[str, int]:
        """Return why some failed and how many, the most frequent first."""
        found = self._reasons + Counter(reason[:MAX_REASON_CHARS] for reason in more)
        if len(found) <= MAX_REASONS:
            return dict(found.most_common())
        kept = dict((found - Counter({OTHER: found[OTHER]})).most_common(MAX_REASONS - 1))
        return {**kept, OTHER: found.total() - sum(kept.values())}

    async def keep(self) -> None:
        """Return once all that is noted so far is stored. Calls beside each other share a write.

        Raises:
            LeaseLostError: Another attempt may hold the job by now: send nothing more.
            BackendError: The store did not answer.
        """
        wanted = self._version
        async with self._storing:
            if self._stored >= wanted:
                return
            version = self._version
            data = self._context.data
            if isinstance(data, dict):  # nothing else can hold a record; an adapter may read it
                await self._context.update_data({**data, FIELD: self._plain()})
            self._stored = version

    def _plain(self) -> dict[str, Any]:
        served = Served(
            users=f"{self._users:x}" if self._users else "",
            subscriptions=list(self._done),
            sent=self.sent,
            failed=self.failed,
            reasons=self.reasons(),
        )
        plain: dict[str, Any] = msgspec.to_builtins(served)
        return plain


def _found(data: object) -> Served | None:
    """Return the record of a payload whose form is not the task's own: an adapter reads that."""
    if not isinstance(data, dict) or FIELD not in data:
        return None
    try:
        return msgspec.convert(data[FIELD], Served)
    except msgspec.ValidationError:
        return None


def _bits(text: str) -> int:
    # Whoever adds jobs may write anything.
    return int(text, 16) if _BITS.fullmatch(text) else 0
