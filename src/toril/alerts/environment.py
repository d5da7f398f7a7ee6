"""Makes the alerts that an environment asks for: `App(alerts=alerts_from_environment())`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toril.alerts.channels.mail import MailChannel
from toril.alerts.channels.webhook import WebhookChannel
from toril.alerts.message import AlertChannel
from toril.alerts.options import AlertOptions
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.services.mail.folder import FolderMailer
from toril.services.mail.port import Mailer


def alerts_from_environment(
    environ: Mapping[str, str] | None = None,
    *,
    mailer: Mailer | None = None,
    folder: Path | str = "mail",
    **more: Any,
) -> AlertOptions | None:
    """Return alerts by mail and webhook, as the environment asks for; None if it asks for none.

    Reads `ALERT_EMAIL_TO` (addresses, with commas between), `ALERT_WEBHOOK_URL`, and
    `ALERT_WEBHOOK_SECRET`, which a webhook needs (several, with commas between, while they are
    changed); `ALERT_EVERY_S`, `ALERT_COOLDOWN_S` and `ALERT_RECOVERY_S`, in seconds. Empty means
    unset.

    Parameters:
        environ: Where to read. Default: the process's own environment.
        mailer: What sends the mails. Default: the server of `SMTP_URL`.
        folder: Where mails are written as `.eml` files if there is neither.
        **more: Of `AlertOptions`, such as `thresholds`.

    Raises:
        InvalidSettingError: With the variable's name and what would do. It shows no secret.
    """
    environ = os.environ if environ is None else environ
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
    channels: list[AlertChannel] = []
    name = "ALERT_EMAIL_TO"
    try:
        if to := [part.strip() for part in given.get(name, "").split(",") if part.strip()]:
            sender = mailer or given.get("SMTP_URL") or FolderMailer(folder)
            channels.append(MailChannel(to, mailer=sender))
        name = "ALERT_WEBHOOK_URL"
        if url := given.get(name):
            name = "ALERT_WEBHOOK_SECRET"
            if name not in given:
                raise InvalidSettingError(
                    "ALERT_WEBHOOK_SECRET is not set, but ALERT_WEBHOOK_URL is: set it to a text of"
                    " 24 characters or more, by which the receiver knows whose the messages are"
                )
            name = "ALERT_WEBHOOK_URL, ALERT_WEBHOOK_SECRET"
            channels.append(WebhookChannel(url, secret=given["ALERT_WEBHOOK_SECRET"].split(",")))
    except InvalidOptionError as error:
        raise InvalidSettingError(f"{name}: {error}") from None
    for name in _SPANS:
        if text := given.get(f"ALERT_{name.upper()}"):
            more[name] = _seconds(f"ALERT_{name.upper()}", text)
    return AlertOptions(channels=channels, **more) if channels else None


_SPANS = ("every_s", "cooldown_s", "recovery_s")


def _seconds(name: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0.1 <= found <= 86_400:
        raise InvalidSettingError(f"{name}={text!r}: expected seconds, from 0.1 to 86400")
    return found
