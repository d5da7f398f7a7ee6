"""Sends mails by SMTP, with aiosmtplib; a connection for each mail."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from toril.core.checks import require
from toril.core.errors import InvalidOptionError
from toril.core.extras import missing_extra
from toril.core.redact import without_password
from toril.services.http.egress import plain_host
from toril.services.mail.message import bare, bare_all, written
from toril.services.mail.port import (
    Mail,
    MailError,
    MailReceipt,
    MailRefusedError,
    check_address,
)

Tls = Literal["auto", "require", "off"]
_PORTS = {"smtp": 587, "smtps": 465}
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
TIMEOUT_S = 30.0


class SmtpMailer:
    """A `Mailer` for an SMTP server."""

    def __init__(
        self, url: str, *, sender: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Make a mailer. It connects when it sends.

        Parameters:
            url: `smtp://user:password@host:587`, which turns to TLS if the server offers it (with
                a password it must, unless the server is on this machine); `?tls=require` and
                `?tls=off` say otherwise. `smtps://host:465` is TLS from the beginning.
            sender: Of mails that name none. Default: the user of the URL, if it is an address,
                else `toril@` and the server's name.
            timeout_s: For each step of the conversation, in seconds.

        Raises:
            InvalidOptionError: The URL or the sender makes no sense.
        """
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        shown = without_password(url)
        if parts.scheme not in _PORTS or not parts.hostname or set(options) - {"tls"}:
            raise InvalidOptionError(
                f"url={shown!r}: expected smtp://host:587 or smtps://host:465, with user:password@"
                " before the host if it wants one, and ?tls=auto, require or off"
            )
        tls = options.get("tls", "auto")
        require(tls in ("auto", "require", "off"), "tls", tls, "auto, require or off")
        require(timeout_s > 0, "timeout_s", timeout_s, "seconds, above 0")
        try:
            self._port = parts.port or _PORTS[parts.scheme]
        except ValueError:
            raise InvalidOptionError(f"url={shown!r}: expected a port from 1 to 65535") from None
        self._host = parts.hostname
        self._direct_tls = parts.scheme == "smtps"
        self._user = None if parts.username is None else unquote(parts.username)
        self._password = None if parts.password is None else unquote(parts.password)
        local = plain_host(self._host) in _HERE
        self._tls = "require" if tls == "auto" and self._password and not local else tls
        self._timeout_s = timeout_s
        self._shown = shown
        if sender is None:
            sender = self._user if self._user and "@" in self._user else f"toril@{self._host}"
        check_address("sender", sender)
        self.sender = sender

    def __repr__(self) -> str:
        return f"SmtpMailer({self._shown!r})"

    async def send(self, mail: Mail) -> MailReceipt:
        """Send a mail: see `Mailer.send`."""
        smtp = await asyncio.to_thread(_import)
        message_id, text = written(mail, sender=self.sender)
        client = smtp.SMTP(
            hostname=self._host,
            port=self._port,
            use_tls=self._direct_tls,
            start_tls=False
            if self._direct_tls
            else {"auto": None, "require": True}.get(self._tls, False),
            timeout=self._timeout_s,
        )
        try:
            async with client:
                if self._password is not None:
                    await client.login(self._user or "", self._password)
                refused, _ = await client.sendmail(
                    bare(mail.sender or self.sender), bare_all(mail.to), text
                )
        except smtp.SMTPException as error:
            raise self._error(smtp, error) from None
        except OSError as error:  # a name that is not known, a certificate that is not trusted
            raise MailError(f"{self._where}: {error.strerror or error}") from None
        return MailReceipt(
            message_id=message_id,
            refused={address: f"{code} {said}" for address, (code, said) in refused.items()},
        )

    @property
    def _where(self) -> str:
        return f"mail server {self._host}:{self._port}"

    def _error(self, smtp: Any, error: Any) -> MailError:
        """Return an error of the server's as ours: above 500 it is for good."""
        if isinstance(error, smtp.SMTPRecipientsRefused):
            worst = max((one.code for one in error.recipients), default=0)
            said = "; ".join(
                f"{one.recipient}: {one.code} {one.message}" for one in error.recipients
            )
            kind = MailRefusedError if worst >= 500 and _all_refused(error) else MailError
            return kind(f"{self._where} refused {said}")
        code = getattr(error, "code", 0)
        said = getattr(error, "message", None) or str(error) or type(error).__name__
        sentence = f"{self._where}: {f'{code} ' if code else ''}{said}"
        return MailRefusedError(sentence) if code >= 500 else MailError(sentence)


def _all_refused(error: Any) -> bool:
    return all(one.code >= 500 for one in error.recipients)


def _import() -> Any:
    try:
        return importlib.import_module("aiosmtplib")
    except ImportError:
        raise missing_extra("mail by SMTP needs aiosmtplib", "mail") from None
