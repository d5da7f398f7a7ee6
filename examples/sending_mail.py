"""Mails from a template, each receiver served once; with no mail server they become files.

Needs the extra `mail`: `pip install '.[mail]'` in a clone.

Run:
    python examples/sending_mail.py

Prints:
    accepted: jo@example.com
    Welcome to Shop, Jo
    UnusableInputError: template 'password_reset': variable 'url' is missing: give it in variables
"""

import asyncio
import tempfile
from email import message_from_bytes, policy
from pathlib import Path

from toril import App, JobFailedError
from toril.library.email import EmailService, EmailSettings
from toril.library.email.tasks import email

app = App("sqlite://:memory:")
app.include(email)


async def main(folder: Path) -> None:
    settings = EmailSettings(sender="Shop <shop@example.com>", brand="Shop", folder=folder)
    service = EmailService(settings)
    app.provide(service)
    app.on_stop(service.close)

    send = app.find_task("email.send")
    welcome = await send.enqueue(to="jo@example.com", template="welcome", variables={"name": "Jo"})
    reset = await send.enqueue(to="jo@example.com", template="password_reset")
    await app.worker().run(until_idle=True)

    print("accepted:", *(await welcome.result()).accepted)
    print_subjects(folder)
    try:
        await reset.result()
    except JobFailedError as failure:
        print(failure)
    await app.close()


def print_subjects(folder: Path) -> None:
    for file in folder.glob("*.eml"):
        print(message_from_bytes(file.read_bytes(), policy=policy.default)["subject"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
