"""Which providers an app has, and when a declined payment is tried again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toril.core.checks import require, unknown
from toril.services.payments.port import PaymentProvider
from toril.services.unusable import UnusableInputError, named

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSettings:
    """When payments are tried again, and who is told."""

    waits_s: tuple[float, ...] = (DAY_S, 3 * DAY_S, 7 * DAY_S)
    """From a decline to the next charge, in seconds: the first, the second, and so on; the last one
    for all that follow."""
    poll_s: float = 60.0
    """How often a charge that is not decided yet is asked about, in seconds."""
    outcome_task: str | None = None
    """The name of a task of the app that is added when a payment succeeded or failed for good, in
    the step that completes the job. It gets `{paymentId, orderId, userId, state, amountMinor,
    currency, reference, code, retryCount}`. None: nobody is told."""

    def __post_init__(self) -> None:
        good = bool(self.waits_s) and all(one > 0 for one in self.waits_s)
        require(good, "waits_s", self.waits_s, "seconds, each above 0")
        require(self.poll_s > 0, "poll_s", self.poll_s, "seconds, above 0")
        told = self.outcome_task is None or bool(self.outcome_task)
        require(told, "outcome_task", self.outcome_task, "a task's name, or None")

    def wait_s(self, retry_count: int) -> float:
        """Return how long to wait after a decline of retry number `retry_count`, in seconds."""
        return self.waits_s[min(retry_count, len(self.waits_s) - 1)]


class Providers:
    """The payment providers of an app, by name: `app.provide(Providers({"stripe": ...}))`.

    Raises:
        InvalidOptionError: There is none.
    """

    def __init__(self, providers: Mapping[str, PaymentProvider]) -> None:
        require(bool(providers), "providers", {}, "at least one provider, by its name")
        self._providers = dict(providers)

    def find(self, name: str) -> PaymentProvider:
        """Return a provider.

        Raises:
            UnusableInputError: There is none of this name; the message names those that are there.
        """
        found = self._providers.get(name)
        if found is None:
            reason = unknown("provider", name, self._providers)
            raise UnusableInputError(named("provider", name), reason)
        return found

    async def close(self) -> None:
        """Close all of them."""
        for one in self._providers.values():
            await one.close()
