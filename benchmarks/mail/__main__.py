"""Prints mails a second: one connection, a pool, a connection each; and what making one costs.

Run:
    make bench-mail ARGS="--mails 2000"
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from toril import App
from toril.library.email import EmailService, EmailSettings
from toril.library.email.tasks import email
from toril.services.mail.port import Mail
from toril.services.mail.smtp import SmtpMailer
from toril.services.mail.templates import MailTemplates

BODY = "A line of a mail, as long as most of them are, or nearly.\n" * 20


async def main(mails: int) -> None:
    """Start a sink, and measure."""
    sink = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.mail.sink"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert sink.stdout is not None
    url = f"smtp://127.0.0.1:{int(sink.stdout.readline())}"
    try:
        await measure(url, mails)
    finally:
        sink.kill()
        sink.communicate()


async def measure(url: str, mails: int) -> None:
    """Print each figure."""
    mail = Mail(to=["jo@example.com"], subject="Hello", text=BODY, html=f"<p>{BODY}</p>")

    async def same(mailer: SmtpMailer, number: int) -> None:
        await mailer.send(mail.addressed(to=[f"u{number}@example.com"]))

    async def anew(mailer: SmtpMailer, number: int) -> None:
        text = f"{number} {BODY}"
        await mailer.send(Mail(to=["jo@example.com"], subject="Hello", text=text, html=text))

    for label, connections, at_once, keep_s, send in (
        ("one connection, content written once", 1, 1, 15.0, same),
        ("one connection, each its own content", 1, 1, 15.0, anew),
        ("four connections, content written once", 4, 16, 15.0, same),
        ("four connections, each its own content", 4, 16, 15.0, anew),
        ("a connection a mail, content written once", 1, 1, 0.0, same),
    ):
        mailer = SmtpMailer(url, max_connections=connections, keep_s=keep_s)
        await report(label, mails, at_once, lambda n, m=mailer, s=send: s(m, n))  # type: ignore[misc]
        await mailer.close()

    templates = MailTemplates()
    began_s = time.perf_counter()
    for number in range(mails // 4):
        templates.render("welcome", {"name": f"N{number}", "url": "https://example.com"})
    show("templates rendered, not sent", mails // 4, time.perf_counter() - began_s)
    await campaign(url, mails)


async def campaign(url: str, mails: int) -> None:
    """Measure bulk jobs of 100 through a store on a disk, with state kept for each mail."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        service = EmailService(
            EmailSettings(
                sender="shop@example.com",
                smtp_url=url,
                unsubscribe_url="https://example.com/u?t={token}",
                unsubscribe_key="only for this run",
                database_url=f"sqlite:///{Path(folder)}/email.db",
            )
        )
        app = App(f"sqlite:///{Path(folder)}/toril.db")
        app.include(email)
        app.provide(service)
        app.on_stop(service.close)
        people = [{"to": f"u{n}@example.com", "data": {"name": f"N{n}"}} for n in range(mails)]
        job = await app.find_task("email.send_bulk").enqueue(template="welcome", recipients=people)
        began_s = time.perf_counter()
        await app.worker(concurrency=4).run(until_idle=True)
        show("campaign of bulk jobs, four at once", mails, time.perf_counter() - began_s)
        assert (await job.result()).jobs == -(-mails // 100)
        await app.close()


async def report(
    label: str, count: int, at_once: int, send: Callable[[int], Awaitable[None]]
) -> None:
    """Send, so many at once, and print how fast."""
    numbers = iter(range(count))

    async def one_of_them() -> None:
        for number in numbers:
            await send(number)

    began_s = time.perf_counter()
    await asyncio.gather(*(one_of_them() for _ in range(at_once)))
    show(label, count, time.perf_counter() - began_s)


def show(label: str, count: int, took_s: float) -> None:
    """Print a figure."""
    print(f"{label:<44} {count / took_s:>8,.0f} a second", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mail")
    parser.add_argument("--mails", type=int, default=2000)
    asyncio.run(main(parser.parse_args().mails))
