"""What the notices promise."""

from __future__ import annotations

from toril.library.promises import Promise

PROMISES = {
    "notify.send": Promise(
        idempotency_key="the job's own with the receiver; for each receiver, the letter in"
        " `torilDelivery` of the payload",
        second_run="serves those only who were not served; whose answer was lost gets one more"
        " message (none where the provider knows the key, and no second notice)",
        side_effects="mails, pushes, Telegram messages, SMS, rows in `toril_notices`",
        services="`Channels`: an `EmailService`, a `PushService`, messengers (Telegram, SMS over"
        " HTTP or Twilio), a `Notices` store",
        progress="the share of receivers that are done, at the end of an attempt",
        cancelling="between two receivers; a retry goes on with the rest",
    ),
    "notify.step": Promise(
        idempotency_key="the run and the number of the step; receivers as `notify.send`",
        second_run="as `notify.send`; the next step is added once, and nothing is sent for a run"
        " that was stopped",
        side_effects="as `notify.send`; the run's row; the job of the next step",
        services="as `notify.send`, and a `RuleStore` (SQLite, PostgreSQL)",
        progress="as `notify.send`",
        cancelling="as `notify.send`; to stop a scenario, use `ScenarioEngine.cancel`",
    ),
    "notify.in_app": Promise(
        idempotency_key="the id of the notice, made of the job's own key",
        second_run="finds the notice and changes nothing, whether or not it was read",
        side_effects="one row in the table `toril_notices`",
        services="a `Notices` store (SQLite, PostgreSQL)",
        progress="none",
        cancelling="before the row is written",
    ),
}
