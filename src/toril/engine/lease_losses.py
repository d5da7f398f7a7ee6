"""Ends attempts whose job is not theirs any more, or that somebody has cancelled."""

from __future__ import annotations

from collections.abc import Mapping

from toril.engine.attempt import Attempt
from toril.engine.context import StopKind
from toril.engine.contract.dispatch import AttemptMessage, Renewal

LOST = "the lease was lost"


class LeaseLosses:
    """Ends attempts of one worker by what the store says of their leases."""

    def __init__(self, running: Mapping[tuple[str, int | str], Attempt]) -> None:
        """Make it.

        Parameters:
            running: Attempts under way, by token and number. Grows and shrinks meanwhile.
        """
        self._running = running

    def renewed(self, renewal: Renewal) -> None:
        """Take what the renewal of leases found."""
        for hold in renewal.lost:
            self._stop(hold.token, hold.number, "lease_lost", LOST)
        for hold, reason in renewal.cancelled:
            self._stop(hold.token, hold.number, "cancelled", reason)

    def message_refused(self, message: AttemptMessage) -> None:
        """Take a message that the store refused, since its attempt does not hold the job."""
        self._stop(message.token, message.number, "lease_lost", LOST)

    def _stop(self, token: str, number: int | str, kind: StopKind, reason: str) -> None:
        attempt = self._running.get((token, number))
        if attempt is not None and attempt.stop_kind is None:
            attempt.stop(kind, reason)
