"""Sends messages by mail, as text and as HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from toril.alerts.message import AlertMessage
from toril.core.errors import InvalidOptionError
from toril.services.mail.port import Mail, Mailer, check_address

_COLOURS = {"raised": "#b42318", "recovered": "#067647", "test": "#475467"}
_BRIGHT = {"raised": "#f97066", "recovered": "#47cd89", "test": "#a4acb8"}
"""The same where a dark page is preferred."""
_WORDS = {"raised": "Raised", "recovered": "Recovered", "test": "Test"}

# Mail programs know little of style sheets: styles stand at the elements, and the sheet only turns
# colours round where dark ones are preferred.
_PAGE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
@media (prefers-color-scheme: dark) {{
  .page {{ background: #101317 !important; }}
  .card {{ background: #1b1f25 !important; border-color: #343a43 !important;
    border-top-color: {bright} !important; }}
  .state {{ color: {bright} !important; }}
  .text {{ color: #f2f4f7 !important; }}
  .dim {{ color: #a4acb8 !important; }}
}}
</style></head>
<body class="page" style="margin:0;padding:24px;background:#f2f4f7;\
font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif">
<table role="presentation" align="center" width="560" cellpadding="0" cellspacing="0" \
style="width:100%;max-width:560px;border-collapse:separate"><tr>
<td class="card" style="background:#ffffff;border:1px solid #dfe3e8;border-top:4px solid {colour};\
border-radius:8px;padding:24px">
<p class="state" style="margin:0 0 8px;font-size:13px;font-weight:600;color:{colour}">{state}</p>
<h1 class="text" style="margin:0 0 12px;font-size:20px;line-height:1.3;color:#101828">{title}</h1>
<p class="text" style="margin:0 0 20px;font-size:15px;line-height:1.5;color:#101828">{text}</p>
<table role="presentation" cellpadding="0" cellspacing="0" style="font-size:14px;line-height:1.6">
{rows}</table></td></tr>
<tr><td class="dim" style="padding:16px 24px;font-size:12px;line-height:1.5;color:#667085">\
{foot}</td></tr></table></body></html>
"""
_ROW = """\
<tr><td class="dim" style="padding:0 16px 0 0;color:#667085;vertical-align:top">{name}</td>\
<td class="text" style="color:#101828;word-break:break-word">{value}</td></tr>
"""


class MailChannel:
    """Sends messages by mail."""

    def __init__(
        self,
        to: str | Sequence[str],
        *,
        mailer: Mailer | str | None = None,
        sender: str | None = None,
        name: str = "mail",
    ) -> None:
        """Make a channel.

        Parameters:
            to: One address or several.
            mailer: What sends the mails: a URL as `SmtpMailer` takes it (extra `mail`), or a
                mailer. Default: `SMTP_URL` of the settings, else `.eml` files in the folder
                `mail` of the working directory.
            sender: Default: the mailer's.
            name: What the log calls the channel.

        Raises:
            InvalidOptionError: An address or the URL makes no sense.
        """
        self._to = [to] if isinstance(to, str) else list(to)
        for address in self._to:
            check_address("to", address)
        if not self._to:
            raise InvalidOptionError("to: expected at least one address")
        if sender is not None:
            check_address("sender", sender)
        self._sender = sender
        self.mailer = _by_smtp(mailer) if isinstance(mailer, str) else mailer
        self.name = name

    def __repr__(self) -> str:
        return f"MailChannel({', '.join(self._to)!r})"

    async def send(self, message: AlertMessage) -> None:
        """Send a message.

        Raises:
            MailError: It was not taken; the message says why.
        """
        if self.mailer is None:
            raise InvalidOptionError("mailer: expected one, as the channel belongs to no app")
        prefix = f"[{_line(message.source)}] " if message.source else ""
        await self.mailer.send(
            Mail(
                to=self._to,
                sender=self._sender,
                subject=f"{prefix}{_line(message.title)}"[:200],
                text=text_of(message),
                html=html_of(message),
                message_id=f"toril-alert-{re.sub(r'[^A-Za-z0-9-]', '', message.id)}",
                headers={
                    "Auto-Submitted": "auto-generated",
                    "X-Toril-Rule": _line(message.rule),
                    "X-Toril-State": message.state,
                },
            )
        )


def _by_smtp(url: str) -> Mailer:
    from toril.services.mail.smtp import SmtpMailer  # every program imports this module

    return SmtpMailer(url, keep_s=0)  # alerts are rare, and nobody closes a channel


def text_of(message: AlertMessage) -> str:
    """Return a message as plain text."""
    lines = [message.title, "", message.text, ""]
    width = max((len(name) for name, _ in _facts(message)), default=0)
    lines += [f"{name + ':':<{width + 1}}  {value}" for name, value in _facts(message)]
    return "\n".join([*lines, "", "-- ", f"{_foot(message)}{_mute(message)}", ""])


def html_of(message: AlertMessage) -> str:
    """Return a message as a page of HTML that loads nothing."""
    return _PAGE.format(
        title=escape(_line(message.title)),
        colour=_COLOURS[message.state],
        bright=_BRIGHT[message.state],
        state=_WORDS[message.state],
        text=escape(message.text),
        rows="".join(
            _ROW.format(name=escape(name), value=escape(value)) for name, value in _facts(message)
        ),
        foot=f"{escape(_foot(message))}{_command(message)}",
    )


def _facts(message: AlertMessage) -> list[tuple[str, str]]:
    if message.state == "test":
        return [("At", _moment(message.at))]
    return [
        ("Rule", message.rule),
        ("Queues" if ", " in message.queue else "Queue", _line(message.queue)),
        ("Measured", f"{message.value:,g}"),
        ("Threshold", f"{message.threshold:,g}"),
        ("Since", _moment(message.since)),
        ("At", _moment(message.at)),
    ]


def _foot(message: AlertMessage) -> str:
    where = f" of {_line(message.source)}" if message.source else ""
    if message.state == "test":
        return f"Sent by toril alerts test{where}."
    return f"Sent by the alerts{where}. To hear nothing of this for a while: "


def _mute(message: AlertMessage) -> str:
    return "" if message.state == "test" else f"toril alerts mute {message.rule} --for 2h"


def _command(message: AlertMessage) -> str:
    """Return how to mute, as HTML that is not broken between its words."""
    mute = escape(_mute(message))
    return mute and f'<code style="white-space:nowrap">{mute}</code>'


def _moment(at: object) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
