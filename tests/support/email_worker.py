"""A worker of the e-mail tasks in a process of its own, which a test may kill."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from toril import App
from toril.library.email import EmailService, EmailSettings
from toril.library.email.tasks import email


def settings(smtp_url: str, folder: Path) -> EmailSettings:
    """Return settings for a server of a test."""
    return EmailSettings(
        sender="Shop <shop@example.com>",
        smtp_url=smtp_url,
        unsubscribe_url="https://shop.example.com/u?t={token}",
        unsubscribe_key="a key of a test only",
        database_url=f"sqlite:///{folder}/email.db",
    )


def make_app(url: str, service: EmailService) -> App:
    """Return an app with the e-mail tasks."""
    app = App(url)
    app.include(email)
    app.provide(service)
    app.on_stop(service.close)
    return app


def start_worker(url: str, smtp_url: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start a worker; it ends when it is killed."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.email_worker", smtp_url, str(folder)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TORIL_URL": url},
    )


async def _work(url: str, smtp_url: str, folder: Path) -> None:
    app = make_app(url, EmailService(settings(smtp_url, folder)))
    await app.worker(concurrency=4, lease=1.0, sweep=0.2, max_stalled=100).run()


if __name__ == "__main__":
    asyncio.run(_work(os.environ["TORIL_URL"], sys.argv[1], Path(sys.argv[2])))
