"""Sends messages to whatever Apprise reaches: chats, pagers, phones.

Apprise may block for as long as the service that it asks: it runs in a thread of its own, which
ends with the process, so that neither jobs nor other channels wait for it.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, TypeVar

from toril.alerts.message import AlertMessage
from toril.core.errors import InvalidOptionError, TorilError

T = TypeVar("T")
_KINDS = {"raised": "failure", "recovered": "success", "test": "info"}


class AppriseError(TorilError):
    """Apprise could not send a message. What it logs itself says why."""


class AppriseChannel:
    """Sends messages by Apprise."""

    def __init__(self, urls: str | Sequence[str], *, name: str = "apprise") -> None:
        """Make a channel. It needs the extra `apprise`, which is imported with the first message.

        Parameters:
            urls: One URL of Apprise or several, such as `slack://…` or `tgram://…`.
            name: What the log calls the channel.

        Raises:
            InvalidOptionError: There is no URL.
        """
        self._urls = [urls] if isinstance(urls, str) else list(urls)
        if not self._urls or not all(self._urls):
            raise InvalidOptionError("urls: expected URLs of Apprise")
        self.name = name

    def __repr__(self) -> str:
        return f"AppriseChannel({self.name!r})"

    async def send(self, message: AlertMessage) -> None:
        """Send a message.

        Raises:
            AppriseError: At least one of the URLs did not take it.
            InvalidOptionError: Apprise does not know one of them.
        """
        await _in_own_thread(lambda: self._notify(message))

    def _notify(self, message: AlertMessage) -> None:
        apprise = _import()
        sender = apprise.Apprise()
        for at, url in enumerate(self._urls, 1):
            if not sender.add(url):  # it may hold a token: it is not shown
                scheme, there, _ = url.partition("://")
                what = f"{scheme}://…" if there else "a text without ://"
                raise InvalidOptionError(f"urls: number {at}, {what}: Apprise does not know it")
        source = f"[{message.source}] " if message.source else ""
        title = f"{source}{message.title}"
        # One by one: `sender.notify` uses a pool of threads, which the end of the process awaits.
        taken = [_notify_one(service, title, message) for service in sender]
        if not all(taken):
            raise AppriseError("Apprise could not send it; see what it has logged")


def _notify_one(service: Any, title: str, message: AlertMessage) -> bool:
    wanted = getattr(service.notify_format, "value", service.notify_format)
    fit: Callable[[str], str] = escape if wanted == "html" else str
    return bool(
        service.notify(title=fit(title), body=fit(message.text), notify_type=_KINDS[message.state])
    )


async def _in_own_thread(work: Callable[[], T]) -> T:
    """Do something in a new thread that is not waited for at the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if not done.done():
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:  # the loop has ended meanwhile
            return

    threading.Thread(target=run, name="toril-alert", daemon=True).start()
    return await done


def _import() -> Any:
    try:
        return importlib.import_module("apprise")
    except ImportError:
        from toril.core.extras import missing_extra  # every program imports this module

        raise missing_extra("alerts by Apprise need apprise", "apprise") from None
