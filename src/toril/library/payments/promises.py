"""What the payments promise."""

from __future__ import annotations

from toril.library.promises import Promise

PROMISES = {
    "payments.retry": Promise(
        idempotency_key="the payment's id and `retryCount`: one charge for each pair",
        second_run=(
            "asks the provider for the charge and takes its state; only if there is none does it"
            " charge, with the same key"
        ),
        side_effects=(
            "one charge at the provider; with the step that completes the job, the next retry as a"
            " delayed job, or a job of `outcome_task`"
        ),
        services="`Providers`: Stripe, YooKassa, BTCPay Server",
        progress="none",
        cancelling="before the charge; one that was sent is found by the next run",
    )
}
