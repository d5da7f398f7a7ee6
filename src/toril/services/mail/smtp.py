"""Sends mails by SMTP, with aiosmtplib, over connections that are kept open."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from toril.core.checks import require
from toril.core.extras import missing_extra
from toril.services.mail.message import ascii_address, bare, needs_unicode, written
from toril.services.mail.port import (
    Mail,
    MailError,
    MailReceipt,
    MailRefusedError,
    Refusal,
    check_address,
)
from toril.services.mail.smtp_conversation import Envelope, HungUpError, converse
from toril.services.mail.smtp_pool import SmtpPool
from toril.services.mail.smtp_url import read_smtp_url

TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 120.0
KEEP_S = 15.0
MAX_CONNECTIONS = 4
MAX_MAILS = 100
CHECK_AFTER_S = 2.0


class SmtpMailer:
    """A `Mailer` for an SMTP server."""

    def __init__(
        self,
        url: str,
        *,
        sender: str | None = None,
        timeout_s: float = TIMEOUT_S,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        max_connections: int = MAX_CONNECTIONS,
        keep_s: float = KEEP_S,
        check_after_s: float = CHECK_AFTER_S,
        max_mails: int = MAX_MAILS,
    ) -> None:
        """Make a mailer. It connects when it sends; close it, and its connections are closed.

        Parameters:
            url: `smtp://user:password@host:587`, which turns to TLS if the server offers it (with
                a password it must, unless the server is on this machine); `?tls=require` and
                `?tls=off` say otherwise. `smtps://host:465` is TLS from the beginning.
            sender: Of mails that name none. Default: the user of the URL, if it is an address,
                else `toril@` and the server's name.
            timeout_s: For each step of the conversation but the last, in seconds.
            answer_timeout_s: How long the server may take to answer once it has all of a mail, in
                seconds. Then it may have taken it: `MailUnknownError`.
            max_connections: At once. Mails beyond them wait.
            keep_s: How long an unused connection is kept, in seconds. 0: one for each mail.
            check_after_s: A connection that was unused for so long is tried before a mail is
                trusted to it, in seconds.
            max_mails: Through one connection.

        Raises:
            InvalidOptionError: The URL or an option makes no sense. No message has the password.
        """
        self._server = read_smtp_url(url)
        for name, seconds in (("timeout_s", timeout_s), ("answer_timeout_s", answer_timeout_s)):
            require(seconds > 0, name, seconds, "seconds, above 0")
        for name, seconds in (("keep_s", keep_s), ("check_after_s", check_after_s)):
            require(seconds >= 0, name, seconds, "seconds, from 0")
        for name, count in (("max_connections", max_connections), ("max_mails", max_mails)):
            require(count >= 1, name, count, "an integer from 1")
        self._timeout_s = timeout_s
        self._answer_timeout_s = answer_timeout_s
        if sender is None:
            user = self._server.user
            sender = user if user and "@" in user else f"toril@{self._server.host}"
        check_address("sender", sender)
        self.sender = sender
        self._pool = SmtpPool(
            self._connect,
            max_connections=max_connections,
            keep_s=keep_s,
            check_after_s=check_after_s,
            max_mails=max_mails,
        )

    def __repr__(self) -> str:
        return f"SmtpMailer({self._server.shown!r})"

    @property
    def opened(self) -> int:
        """How many connections were made so far."""
        return self._pool.opened

    async def send(self, mail: Mail) -> MailReceipt:
        """Send a mail: see `Mailer.send`."""
        message_id, content = written(mail, sender=self.sender)
        by_address = {ascii_address(bare(each)): each for each in mail.receivers}
        envelope = Envelope(
            sender=bare(mail.sender or self.sender),
            receivers=list(by_address),
            unicode=needs_unicode(mail, sender=self.sender),
        )
        try:
            refused = await self._hand_over(envelope, content)
        except MailError as error:
            error.refusals = {by_address[key]: why for key, why in error.refusals.items()}
            raise
        spelled = {by_address[address]: why for address, why in refused.items()}
        accepted = [each for each in by_address.values() if each not in spelled]
        return MailReceipt(message_id=message_id, accepted=accepted, refused=spelled)

    async def close(self) -> None:
        """Close its connections."""
        await self._pool.close()

    async def _hand_over(self, envelope: Envelope, content: bytes) -> dict[str, Refusal]:
        try:
            return await self._try(envelope, content, fresh=False)
        except _StaleError:
            # The server had hung up on a connection that was kept; of this mail it has nothing.
            return await self._try(envelope, content, fresh=True)

    async def _try(self, envelope: Envelope, content: bytes, *, fresh: bool) -> dict[str, Refusal]:
        async with self._pool.connection(fresh=fresh) as lease:
            try:
                refused = await converse(
                    lease.client,
                    envelope,
                    content,
                    place=self._server.place,
                    answer_timeout_s=self._answer_timeout_s,
                )
            except HungUpError as error:
                if lease.reused:
                    raise _StaleError from None
                raise MailError(str(error)) from None
            except MailError as error:
                lease.sound = bool(error.refusals)
                raise
            lease.sound = True
            return dict(refused)

    async def _connect(self) -> Any:
        """Open a connection.

        Raises:
            MailRefusedError: The server does not take the password.
            MailError: There is no server, or it does not want to talk now.
        """
        smtp = await asyncio.to_thread(_import)
        server = self._server
        client = smtp.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls_from_the_start,
            start_tls=server.start_tls,
            timeout=self._timeout_s,
        )
        try:
            await client.connect()
            if server.password is not None:
                await client.login(server.user or "", server.password)
            elif client.is_ehlo_or_helo_needed:  # with TLS from the beginning, nobody has yet
                await _greet(client, smtp)
        except BaseException as error:
            client.close()
            if isinstance(error, smtp.SMTPException):
                raise self._problem(error) from None
            if isinstance(error, OSError):  # an unknown name, a certificate that is not trusted
                place = server.place
                raise MailError(f"{place}: {error.strerror or error}") from None
            raise
        return client

    def _problem(self, error: Any) -> MailError:
        code = getattr(error, "code", 0)
        said = getattr(error, "message", None) or str(error) or type(error).__name__
        sentence = f"{self._server.place}: {f'{code} ' if code else ''}{said}"
        return MailRefusedError(sentence) if code >= 500 else MailError(sentence)


async def _greet(client: Any, smtp: Any) -> None:
    try:
        await client.ehlo()
    except smtp.SMTPHeloError:  # a server of long ago
        await client.helo()


class _StaleError(Exception):
    """A connection that was kept turned out to be closed."""


def _import() -> Any:
    try:
        return importlib.import_module("aiosmtplib")
    except ImportError:
        raise missing_extra("mail by SMTP needs aiosmtplib", "mail") from None
