"""Writes mails into a folder, one `.eml` file each, which mail programs open."""

from __future__ import annotations

import asyncio
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from toril.services.mail.message import written
from toril.services.mail.port import Mail, MailError, MailReceipt, check_address


class FolderMailer:
    """A `Mailer` for a machine without a mail server, such as while developing."""

    def __init__(self, folder: Path | str, *, sender: str = "toril@localhost") -> None:
        """Make a mailer.

        Parameters:
            folder: It is made when the first mail is written.
            sender: Of mails that name none.
        """
        check_address("sender", sender)
        self.folder = Path(folder)
        self.sender = sender

    def __repr__(self) -> str:
        return f"FolderMailer({str(self.folder)!r})"

    async def send(self, mail: Mail) -> MailReceipt:
        """Write a mail: see `Mailer.send`."""
        message_id, text = written(mail, sender=self.sender)
        try:
            await asyncio.to_thread(self._write, mail, text)
        except OSError as error:
            raise MailError(f"{self.folder}: {error.strerror or error}") from error
        return MailReceipt(message_id=message_id, accepted=list(mail.receivers))

    async def close(self) -> None:
        """Nothing is open."""

    def _write(self, mail: Mail, text: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        subject = re.sub(r"[^A-Za-z0-9]+", "-", mail.subject).strip("-")[:40]
        name = f"{moment}-{subject or 'mail'}-{token_hex(3)}"
        unfinished = self.folder / f".{name}.part"
        descriptor = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with open(descriptor, "wb") as file:
            file.write(text)
        unfinished.rename(self.folder / f"{name}.eml")
