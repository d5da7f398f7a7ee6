"""A real SMTP server on this machine that keeps what it is sent, and refuses what a test says."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from tests.support.ports import give_back_port, reserve_port


@dataclass
class Inbox:
    """What has arrived, and what is refused."""

    mails: list[EmailMessage] = field(default_factory=list)
    to: list[list[str]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """By address: the answer."""
    answer: str = "250 OK"
    url: str = ""
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802 - as above
        if self.answer.startswith("250"):
            made = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(made, EmailMessage)
            self.mails.append(made)
            self.to.append(list(envelope.rcpt_tos))
        return self.answer


@contextmanager
def receiving(*, password: str | None = None) -> Iterator[Inbox]:
    """Run a server beside the test, in a thread of its own."""
    inbox = Inbox()

    def login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        inbox.logins.append((data.login, data.password))
        # Not handled: the server answers then; otherwise nobody would.
        return AuthResult(success=data.password == (password or "").encode(), handled=False)

    more: dict[str, Any] = {}
    if password is not None:
        more = {"authenticator": login, "auth_require_tls": False}
    port = reserve_port()
    controller = Controller(inbox, hostname="127.0.0.1", port=port, **more)
    controller.start()
    inbox.url = f"smtp://127.0.0.1:{port}"
    try:
        yield inbox
    finally:
        controller.stop()
        give_back_port(port)
