"""Keeps mails in memory, for tests."""

from __future__ import annotations

from toril.services.mail.message import written
from toril.services.mail.port import Mail, MailReceipt


class MemoryMailer:
    """A `Mailer` whose mails are in `sent`."""

    def __init__(self, *, sender: str = "toril@localhost") -> None:
        self.sender = sender
        self.sent: list[Mail] = []

    async def send(self, mail: Mail) -> MailReceipt:
        """Keep a mail."""
        message_id, _ = written(mail, sender=self.sender)
        self.sent.append(mail)
        return MailReceipt(message_id=message_id)
