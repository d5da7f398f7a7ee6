"""What the e-mail tasks promise."""

from __future__ import annotations

from toril.library.promises import Promise

_RECORD = (
    "the job's own, of which the `Message-ID` is made; for each receiver, the letter in"
    " `torilDelivery` of the payload"
)
_SECOND = (
    "writes to those only who were not served; whose answer was lost gets one more mail, with the"
    " same `Message-ID`"
)
_EFFECTS = "mails; addresses without a mailbox go on the suppression list"
_SERVICES = (
    "an `EmailService`: a mailer (SMTP, SendGrid, a folder, memory), templates, a suppression list"
    " (memory, SQLite, PostgreSQL)"
)
_CANCELLING = "between two receivers; at the time limit, too, and a retry goes on with the rest"

PROMISES = {
    "email.send": Promise(
        idempotency_key=_RECORD,
        second_run=_SECOND,
        side_effects=_EFFECTS,
        services=f"{_SERVICES}, HTTP for attachments by `url`",
        progress="none",
        cancelling=_CANCELLING,
    ),
    "email.send_bulk": Promise(
        idempotency_key=_RECORD,
        second_run=_SECOND,
        side_effects=f"{_EFFECTS}; one with over 100 receivers adds jobs in place of sending",
        services=_SERVICES,
        progress="0 to 100, the share of receivers that are done",
        cancelling=_CANCELLING,
    ),
}
