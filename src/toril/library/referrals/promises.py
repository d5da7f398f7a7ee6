"""What the commissions promise."""

from __future__ import annotations

from toril.library.promises import Promise

PROMISES = {
    "referrals.commission": Promise(
        idempotency_key="the order's id: one commission an order and level, and one refund",
        second_run=(
            "finds the order and changes nothing, whichever job booked it; the job that booked it"
            " tells the same referrers again, in the step that completes it"
        ),
        side_effects=(
            "rows in `toril_referral_orders`, `toril_commissions` and `toril_referral_balances`, in"
            " one transaction; a job of `earned_task` for each commission"
        ),
        services="a `Referrals` store (SQLite, PostgreSQL)",
        progress="none",
        cancelling="before the transaction, which is whole or not there",
    ),
    "referrals.payout": Promise(
        idempotency_key="the payout's id, user and currency: one payment, for ever",
        second_run=(
            "finds its payments and books those that are missing; the job that booked some adds the"
            " job of `payout_task` again, in the step that completes it"
        ),
        side_effects=(
            "rows in `toril_referral_payouts` and `toril_referral_balances`, a transaction an"
            " account; one job of `payout_task`. No money is moved"
        ),
        services="a `Referrals` store (SQLite, PostgreSQL)",
        progress="none",
        cancelling="between two accounts; those that are booked stay",
    ),
}
