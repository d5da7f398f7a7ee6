"""A provider in memory, for tests and the first steps: no money moves."""

from __future__ import annotations

from collections.abc import Mapping

from toril.services.payments.port import Charge, ChargeReply, WebhookEvent, WebhookRefusedError


class MemoryPayments:
    """Fulfils `PaymentProvider`.

    Parameters:
        replies: What charges get, one after another; then all succeed. A reply's reference is set
            here.
    """

    def __init__(self, *replies: ChargeReply) -> None:
        self._next = list(replies)
        self.charges: dict[str, tuple[Charge, ChargeReply]] = {}
        """By key."""

    async def charge(self, charge: Charge) -> ChargeReply:
        """Charge once: see `PaymentProvider.charge`."""
        if charge.key not in self.charges:
            given = (
                self._next.pop(0) if self._next else ChargeReply(state="succeeded", reference="")
            )
            named = f"memory-{len(self.charges) + 1}"
            reply = ChargeReply(state=given.state, reference=named, code=given.code, url=given.url)
            self.charges[charge.key] = charge, reply
        return self.charges[charge.key][1]

    async def find(self, charge: Charge) -> ChargeReply | None:
        """Return what became of a charge."""
        found = self.charges.get(charge.key)
        return None if found is None else found[1]

    async def webhook(
        self, body: bytes, headers: Mapping[str, str], *, client_ip: str
    ) -> WebhookEvent:
        """Refuse: nobody sends any."""
        raise WebhookRefusedError("memory: this provider sends no webhooks")

    async def close(self) -> None:
        """Nothing is open."""
