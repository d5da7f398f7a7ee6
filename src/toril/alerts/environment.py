"""Makes the alerts that an environment asks for: `App(alerts=alerts_from_environment())`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from toril.alerts.channels.mail import MailChannel
from toril.alerts.channels.webhook import WebhookChannel
from toril.alerts.message import AlertChannel
from toril.alerts.options import AlertOptions
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.services.mail.port import Mailer


def alerts_from_environment(
    environ: Mapping[str, str] | None = None, *, mailer: Mailer | None = None, **more: Any
) -> AlertOptions | None:
    """Return alerts by mail and webhook, as the environment asks for; None if it asks for none.

    Reads `ALERT_EMAIL_TO` (addresses, with commas between), `ALERT_WEBHOOK_URL` and
    `ALERT_WEBHOOK_SECRET`, which a webhook needs; `ALERT_EVERY_S`, `ALERT_COOLDOWN_S` and
    `ALERT_RECOVERY_S`. Empty means unset.

    Parameters:
        environ: Where to read. Default: the process's own environment.
        mailer: What sends the mails. Default: as for `MailChannel`.
        **more: Of `AlertOptions`, such as `thresholds`.

    Raises:
        InvalidSettingError: With the variable's name and what would do.
    """
    given = os.environ if environ is None else environ
    text = {name: given.get(f"ALERT_{name}", "").strip() for name in _NAMES}
    channels: list[AlertChannel] = []
    addresses = [one.strip() for one in text["EMAIL_TO"].split(",") if one.strip()]
    try:
        if addresses:
            channels.append(MailChannel(addresses, mailer=mailer))
    except InvalidOptionError as error:
        raise InvalidSettingError(f"ALERT_EMAIL_TO={text['EMAIL_TO']!r}: {error}") from None
    if text["WEBHOOK_URL"]:
        if not text["WEBHOOK_SECRET"]:
            raise InvalidSettingError(
                "ALERT_WEBHOOK_SECRET is not set, but ALERT_WEBHOOK_URL is: set it to a text of 24"
                " characters or more, by which the receiver knows whose the messages are"
            )
        try:
            channel = WebhookChannel(text["WEBHOOK_URL"], secret=text["WEBHOOK_SECRET"])
        except InvalidOptionError as error:
            raise InvalidSettingError(f"ALERT_WEBHOOK_URL, ALERT_WEBHOOK_SECRET: {error}") from None
        channels.append(channel)
    for name in _SPANS:
        if text[name]:
            more[name.lower()] = _seconds(f"ALERT_{name}", text[name])
    return AlertOptions(channels=channels, **more) if channels else None


_SPANS = ("EVERY_S", "COOLDOWN_S", "RECOVERY_S")
_NAMES = ("EMAIL_TO", "WEBHOOK_URL", "WEBHOOK_SECRET", *_SPANS)


def _seconds(name: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0.1 <= found <= 86_400:
        raise InvalidSettingError(f"{name}={text!r}: expected seconds, from 0.1 to 86400")
    return found
