"""What push jobs carry and give back, under the names on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

USERS_A_JOB = 500
"""How many users one batch job serves. One with more becomes several."""


class PushPayload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message, as the browser's service worker gets it.

    Members that other producers send are forwarded. A call of our own refuses them, as they may be
    misspelt: what else the page needs goes into `data`, or into the task's parameter `more`.
    """

    title: str
    body: str
    """Cut at the end of a character if the message is larger than push services take."""
    url: str | None = None
    """What a click opens."""
    icon: str | None = None
    """URL of a picture."""
    badge: str | None = None
    """URL of a small picture of one colour."""
    image: str | None = None
    """URL of a large picture."""
    tag: str | None = None
    """A later notification of the same tag replaces this one on the screen."""
    data: dict[str, Any] | None = None
    """Anything else for the page."""


class Served(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What earlier attempts of a job have done. The task writes it; producers leave it out."""

    users: str = ""
    """Who is done: one bit for each user of the job, the first one lowest, in hexadecimal."""
    subscriptions: list[str] = []
    """Ids of subscriptions that are done, of users that are not."""
    sent: int = 0
    failed: int = 0
    reasons: dict[str, int] = {}


class PushResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a push job returns. It counts over all attempts."""

    sent: int
    failed: int
    total: int
    """Subscriptions in all."""
    reasons: dict[str, int] = {}
    """Why some failed, and how many. The rarest beyond 20 are `other`."""


class PushBatchResult(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """What a batch job returns. It counts over all attempts."""

    sent: int
    failed: int
    total: int
    """Subscriptions in all."""
    users: int
    """How many users it was for."""
    reasons: dict[str, int] = {}
    """Why some failed, and how many."""
    jobs: int = 0
    """How many jobs it became, as it was for too many users. They send; this one did not."""


def batches(
    users: Iterable[str], payload: PushPayload, *, size: int = USERS_A_JOB
) -> list[Mapping[str, Any]]:
    """Return the parameters of the batch jobs that serve these users, each once.

    `await app.bound(send_batch).enqueue_many(batches(users, payload))` adds them at once.

    Parameters:
        users: Their ids.
        payload: What they are told.
        size: Users a job.
    """
    each = list(dict.fromkeys(users))
    return [
        {"users": each[start : start + size], "payload": payload}
        for start in range(0, len(each), size)
    ]
