"""What a payment provider promises: one charge for each key, and an answer to what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from toril.core.errors import TorilError

ChargeState = Literal["succeeded", "pending", "declined", "refused"]
"""`pending`: taken, and not decided yet. `declined`: not now; another charge on another day may do.
`refused`: for good, such as a stolen card."""


class PaymentError(TorilError):
    """The provider could not be asked, or could not do it now: nothing was charged, as it says."""


class PaymentUnclearError(PaymentError):
    """A charge was sent and its answer was lost: money may have moved. Ask by `find`."""


class PaymentSetupError(TorilError):
    """The provider refuses us: a wrong key, a right that lacks, a request that it cannot read."""


class WebhookRefusedError(TorilError):
    """A webhook is not the provider's, or too old. Answer 400, and believe nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One charge. All of it is the same in each attempt."""

    payment_id: str
    """The application's name of the payment."""
    retry_count: int
    """Which business retry this is, from 0: each is a charge of its own."""
    order_id: str
    amount_minor: int
    currency: str
    since: datetime
    """No charge of this key is older."""
    payment_method_id: str | None = None
    """The provider's name of a stored card or account."""
    customer_id: str | None = None
    """The provider's name of its owner."""

    @property
    def key(self) -> str:
        """What makes it one charge: the idempotency key."""
        named = f"{self.retry_count}:{self.payment_id}"
        return f"toril-{hashlib.sha256(named.encode()).hexdigest()[:40]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeReply:
    """What became of a charge."""

    state: ChargeState
    reference: str
    """The provider's name of it. Empty: it has none, as nothing was made."""
    code: str = ""
    """The provider's word for why not."""
    url: str | None = None
    """Where the customer pays, if that is what it waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent:
    """What a provider said of a charge, after it was verified."""

    key: str | None
    """The key of the charge. None: it is of no charge of ours."""
    payment_id: str | None
    reply: ChargeReply


class PaymentProvider(Protocol):
    """One provider."""

    async def charge(self, charge: Charge) -> ChargeReply:
        """Charge once. A second call with the same key moves no more money.

        Raises:
            PaymentUnclearError: It was sent, and what became of it is not known.
            PaymentError: Nothing was charged; it may be tried again.
            PaymentSetupError: It is of no use to try again before somebody mends something.
        """
        ...

    async def find(self, charge: Charge) -> ChargeReply | None:
        """Return what became of a charge. None: the provider knows of none with its key.

        Raises:
            PaymentError: The provider cannot be asked now.
            PaymentSetupError: As `charge`.
        """
        ...

    async def webhook(
        self, body: bytes, headers: Mapping[str, str], *, client_ip: str
    ) -> WebhookEvent:
        """Return what a webhook says, if it is the provider's.

        Parameters:
            body: As it came, byte for byte.
            headers: By their names in any case.
            client_ip: Who sent it, as your own proxy says.

        Raises:
            WebhookRefusedError: It is not.
            PaymentError: The provider cannot be asked now: answer 503.
        """
        ...

    async def close(self) -> None:
        """Close what it has opened."""
        ...


def header(headers: Mapping[str, str], name: str) -> str:
    """Return a header by its name in small letters; empty if it is not there."""
    return next((value for key, value in headers.items() if key.lower() == name), "")
