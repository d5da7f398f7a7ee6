"""What an environment says of whom alerts go to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from toril.alerts.channels.mail import MailChannel
from toril.alerts.channels.webhook import WebhookChannel
from toril.alerts.message import AlertChannel
from toril.alerts.options import AlertOptions
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.services.mail.folder import FolderMailer


def alerts_from_environment(
    environ: Mapping[str, str] | None = None, *, folder: Path | str = "mail"
) -> AlertOptions | None:
    """Return alerts with the channels that the environment names; None if it names none.

    Reads `ALERT_MAIL` (addresses, with commas between), `SMTP_URL`, and `ALERT_WEBHOOK` (a URL)
    with `ALERT_WEBHOOK_SECRET`. Empty means unset.

    Parameters:
        environ: Where to read. Default: the process's own environment.
        folder: Where mails are written as `.eml` files if `SMTP_URL` is not set.

    Raises:
        InvalidSettingError: With the variable's name and what would do. It shows no secret.
    """
    environ = os.environ if environ is None else environ
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
    channels: list[AlertChannel] = []
    try:
        name = "ALERT_MAIL"
        if to := [part.strip() for part in given.get(name, "").split(",") if part.strip()]:
            channels.append(MailChannel(to, mailer=given.get("SMTP_URL") or FolderMailer(folder)))
        name = "ALERT_WEBHOOK"
        if url := given.get(name):
            name = "ALERT_WEBHOOK_SECRET"
            if name not in given:
                raise InvalidSettingError(f"{name} is not set, but ALERT_WEBHOOK is: set it, too")
            channels.append(WebhookChannel(url, secret=given[name].split(",")))
    except InvalidOptionError as error:
        raise InvalidSettingError(f"{name}: {error}") from None
    return AlertOptions(channels=channels) if channels else None
