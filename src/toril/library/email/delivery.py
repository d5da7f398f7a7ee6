"""Sends to one receiver after another, and knows after any crash who was served.

The state is kept in the job's own payload, under `torilDelivery`: one letter a receiver. Before a
mail leaves, its receiver is marked as being served, in the same write that records the one before.
So a worker that is killed leaves at most one receiver of whom nobody knows; that one is served once
more, with the same Message-ID, and never a third time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from toril.core.codec import Json
from toril.services.mail.port import MailError, MailRefusedError, MailUnknownError, Refusal

STATE_FIELD = "torilDelivery"
MAX_REASON_CHARS = 200

WAITING = "w"
SERVING = "s"
UNKNOWN = "u"
SERVING_AGAIN = "t"
ACCEPTED = "a"
DELAYED = "d"
REJECTED = "r"
LOST = "l"
SUPPRESSED = "p"
_MARKS = frozenset("wsutadrlp")
_LEFT = frozenset({WAITING, UNKNOWN, DELAYED})
_AFTER_A_CRASH = {SERVING: UNKNOWN, SERVING_AGAIN: LOST}
LOST_TWICE = "the server's answer was lost twice: not sent again"

Send = Callable[[int], Awaitable[None]]
"""Sends the mail of the receiver at this place. Raises what `Mailer.send` raises."""
Save = Callable[["Delivery"], Awaitable[None]]


class Delivery(msgspec.Struct, kw_only=True, rename="camel"):
    """How far the work has come."""

    message_id: str
    """Before the `@`. Kept, so that it stays when the job is put into another queue."""
    marks: str
    """One letter a receiver, in their order."""
    reasons: dict[str, str] = {}
    """By place: what a server said."""

    def mark(self, place: int, mark: str, reason: str = "") -> None:
        """Say what became of a receiver."""
        self.marks = f"{self.marks[:place]}{mark}{self.marks[place + 1 :]}"
        self.reasons.pop(str(place), None)
        if reason:
            self.reasons[str(place)] = reason[:MAX_REASON_CHARS]

    def places(self, *marks: str) -> list[int]:
        """Return the places with one of these marks."""
        return [place for place, mark in enumerate(self.marks) if mark in marks]

    @property
    def left(self) -> list[int]:
        """The places that are still to be served."""
        return self.places(*_LEFT)


def delivery_of(payload: Any, *, message_id: str, receivers: int) -> Delivery:
    """Return the state that a payload holds, or a new one.

    A state of other receivers, or none of ours, counts for nothing: payloads come from anywhere.

    Parameters:
        payload: The job's payload as it is stored.
        message_id: Of a new state.
        receivers: How many there are.
    """
    held = payload.get(STATE_FIELD) if isinstance(payload, dict) else None
    try:
        found = msgspec.convert(held, Delivery)
    except msgspec.ValidationError:
        found = None
    if found is None or len(found.marks) != receivers or not _MARKS.issuperset(found.marks):
        return Delivery(message_id=message_id, marks=WAITING * receivers)
    for place, mark in enumerate(found.marks):
        if mark in _AFTER_A_CRASH:
            found.mark(place, _AFTER_A_CRASH[mark], LOST_TWICE if mark == SERVING_AGAIN else "")
    return found


def with_delivery(payload: Mapping[str, Json], delivery: Delivery) -> dict[str, Json]:
    """Return a payload that holds a state."""
    return {**payload, STATE_FIELD: msgspec.to_builtins(delivery)}


async def deliver(
    delivery: Delivery,
    addresses: Sequence[str],
    *,
    send: Send,
    save: Save,
    refused: Callable[[str, Refusal], Awaitable[None]],
) -> None:
    """Serve everybody who is left, one after another.

    Returns when nobody is left, or some are to be tried later: `delivery.left` says. What became of
    an only receiver is not saved if that is the end: the job's result says it in the next step.

    Parameters:
        delivery: How far the work has come; changed in place.
        addresses: The receivers.
        send: Sends to one.
        save: Keeps the state. What it raises ends the work before the next mail leaves.
        refused: Told of each address that is refused for good.

    Raises:
        MailRefusedError: The server takes nothing of us: a wrong password or sender.
        MailError: There is no server now. Both after the state was saved.
    """
    unsaved = False
    for place in delivery.left:
        again = delivery.marks[place] == UNKNOWN
        before, reason = delivery.marks[place], delivery.reasons.get(str(place), "")
        delivery.mark(place, SERVING_AGAIN if again else SERVING)
        await save(delivery)
        try:
            await send(place)
        except MailUnknownError as error:
            unsaved = True
            delivery.mark(place, LOST if again else UNKNOWN, LOST_TWICE if again else str(error))
            if not again:  # a server in trouble must not make a second mail to each of them
                break
        except MailError as error:
            refusal = error.refusals.get(addresses[place])
            if refusal is None:
                delivery.mark(place, before, reason)
                await save(delivery)
                raise
            unsaved = True
            if isinstance(error, MailRefusedError):
                delivery.mark(place, REJECTED, str(refusal))
                await refused(addresses[place], refusal)
            else:
                delivery.mark(place, UNKNOWN if again else DELAYED, str(refusal))
        else:
            unsaved = True
            delivery.mark(place, ACCEPTED)
    if unsaved and (delivery.left or len(addresses) > 1):
        await save(delivery)
