"""Keeps mails in memory, for tests."""

from __future__ import annotations

from toril.services.mail.message import written
from toril.services.mail.port import Mail, MailReceipt, Refusal, check_address
from toril.services.mail.smtp_conversation import refusal_of_all


class MemoryMailer:
    """A `Mailer` whose mails are in `sent`, as bytes in `written`."""

    def __init__(self, *, sender: str = "toril@localhost") -> None:
        """Make a mailer.

        Parameters:
            sender: Of mails that name none.
        """
        check_address("sender", sender)
        self.sender = sender
        self.sent: list[Mail] = []
        self.written: list[bytes] = []
        self.refusing: dict[str, Refusal] = {}
        """By address: the answer that the next mails to it get."""

    async def send(self, mail: Mail) -> MailReceipt:
        """Keep a mail: see `Mailer.send`."""
        message_id, content = written(mail, sender=self.sender)
        refused = {each: self.refusing[each] for each in mail.receivers if each in self.refusing}
        if len(refused) == len(mail.receivers):
            raise refusal_of_all("mail in memory", refused)
        self.sent.append(mail)
        self.written.append(content)
        accepted = [each for each in mail.receivers if each not in refused]
        return MailReceipt(message_id=message_id, accepted=accepted, refused=refused)

    async def close(self) -> None:
        """Nothing is open."""
