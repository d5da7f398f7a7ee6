"""Notifications over five channels, by workers, on both stores, against servers of all kinds."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support import messengers as shapes
from tests.support.http_server import Answer
from tests.support.messengers import Provider, bot_error, provider
from tests.support.push_endpoint import PushEndpoint, push_endpoint
from tests.support.smtp_server import Inbox, receiving

from toril import App, InvalidPayloadError, Job, JobOptions
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.library.email import EmailService, EmailSettings
from toril.library.notify import Channels, NotificationOptions, NotificationService
from toril.library.notify.channel_service import sms_from_environment, telegram_from_environment
from toril.library.notify.published import published_notification
from toril.library.notify.tasks import notifications, notify_send
from toril.library.push import PushService, PushSettings
from toril.services.http.aio import AioHttpClient
from toril.services.http.egress import EgressPolicy
from toril.services.mail.memory import MemoryMailer
from toril.services.messengers.memory import MemoryMessenger
from toril.services.messengers.port import MessengerSetupError
from toril.services.notices.memory import MemoryNotices
from toril.services.push.memory_subscriptions import MemorySubscriptions
from toril.services.unusable import UnusableInputError

pytestmark = pytest.mark.timeout(240)


@dataclass
class World:
    """An app, and servers of all kinds."""

    app: App
    channels: Channels
    inbox: Inbox
    push: PushEndpoint
    telegram: Provider
    sms: Provider

    async def send(self, channel: str, to: Any, **options: Any) -> Job[Any]:
        """Add a job as another program would, with short waits."""
        data: Any = {"channel": channel, "options": {"to": to, **options}}
        quick = JobOptions(backoff_s=0.2)
        return await self.app.queue("notifications").add("__default__", data, quick)

    async def run(self, job: Job[Any]) -> Any:
        """Run a worker until a job has ended; return what is known of it then."""
        return await ended(self.app, job)


async def ended(app: App, job: Job[Any]) -> Any:
    """Run a worker until a job has ended; return what is known of it then."""
    async with asyncio.timeout(120), app.worker():
        while (info := await job.info()).state not in ("completed", "failed"):
            await asyncio.sleep(0.01)
    return info


@pytest.fixture
async def world(url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        inbox = stack.enter_context(receiving())
        push = await stack.enter_async_context(push_endpoint())
        telegram = await stack.enter_async_context(provider("telegram"))
        sms = await stack.enter_async_context(provider("twilio"))
        http = AioHttpClient(EgressPolicy(["127.0.0.1"]))
        stack.push_async_callback(http.close)
        environ = {
            "TELEGRAM_BOT_TOKEN": shapes.BOT_TOKEN,
            "TELEGRAM_API_BASE": telegram.server.url(""),
            "SMS_PROVIDER": "twilio",
            "SMS_API_BASE": sms.server.url(""),
            "SMS_API_KEY": shapes.TWILIO_KEY,
            "SMS_FROM": shapes.SENDER,
        }
        mail = EmailService(
            EmailSettings(
                sender="a@example.com",
                smtp_url=inbox.url,
                database_url=f"sqlite:///{tmp_path}/mail.db",
            )
        )
        stack.push_async_callback(mail.close)
        settings = PushSettings(vapid=push.keys, egress_allow=("127.0.0.1",))
        pushes = PushService(settings, subscriptions=MemorySubscriptions())
        stack.push_async_callback(pushes.close)
        channels = Channels(
            mail=mail,
            push=pushes,
            notices=MemoryNotices(),
            telegram=telegram_from_environment(environ, http),
            sms=sms_from_environment(environ, http),
        )
        app = App(url)
        app.include(notifications)
        app.provide(channels)
        stack.push_async_callback(app.close)
        yield World(app, channels, inbox, push, telegram, sms)


def recipients(info: Any) -> list[tuple[str, str]]:
    return [(one["to"], one["status"]) for one in info.result["recipients"]]


async def test_mail_reaches_each_alone(world: World) -> None:
    """As a Node producer of the platform adds it."""
    to = ["a@example.com", "b@example.com"]
    info = await world.run(
        await world.send("email", to, template="welcome", data={"name": "Jo & Flo"})
    )
    assert recipients(info) == [("a@example.com", "sent"), ("b@example.com", "sent")]
    assert list(info.result)[:2] == ["success", "messageId"]
    assert world.inbox.to == [["a@example.com"], ["b@example.com"]]
    assert [mail["to"] for mail in world.inbox.mails] == to  # nobody sees the others
    for mail in world.inbox.mails:
        html, text = mail.get_body(("html",)), mail.get_body(("plain",))
        assert html is not None
        assert text is not None
        assert "Jo &amp; Flo" in html.get_content()
        assert "Jo & Flo" in text.get_content()


async def test_push_is_decrypted_by_the_browser(world: World) -> None:
    browser = world.push.browser("one")
    assert world.channels.push is not None
    await world.channels.push.subscribe("u1", browser.json)
    info = await world.run(
        await world.send("browser", "u1", subject="T", text="B", data={"url": "/x", "n": 1})
    )
    assert recipients(info) == [("u1", "sent")]
    (received,) = browser.received
    shown = json.loads(received)
    assert (shown["title"], shown["body"], shown["url"]) == ("T", "B", "/x")
    assert shown["data"] == {"url": "/x", "n": 1}


async def test_telegram_sms_and_rows(world: World) -> None:
    text = {"subject": "Sale", "text": "Now."}
    jobs = [
        await world.send("telegram", "77", **text),
        await world.send("sms", "+15551234567", **text),
        await world.send("database", ["u1", "u2"], **text, data={"type": "warning", "n": 1}),
    ]
    for job in jobs:
        assert (await world.run(job)).state == "completed"
    assert world.telegram.taken == [{"to": "77", "text": "Sale\nNow."}]
    assert world.sms.taken == [{"to": "+15551234567", "text": "Sale\nNow."}]
    assert world.channels.notices is not None
    (notice,) = await world.channels.notices.of_user("u2")
    assert (notice.title, notice.body, notice.type) == ("Sale", "Now.", "warning")
    assert notice.metadata == {"type": "warning", "n": 1}
    assert notice.read_at is None


async def test_template_gives_its_text_to_other_channels(world: World) -> None:
    info = await world.run(
        await world.send("telegram", "77", template="welcome", data={"name": "Jo"})
    )
    assert info.state == "completed"
    (sent,) = world.telegram.taken
    assert "Jo" in sent["text"]
    assert "<" not in sent["text"]
    html = await world.send("database", "u1", html="<h1>Hi</h1><p>all</p>")
    assert (await world.run(html)).state == "completed"
    assert world.channels.notices is not None
    (notice,) = await world.channels.notices.of_user("u1")
    assert (notice.title.lower(), "all" in notice.body) == ("hi", True)


async def test_retry_serves_only_who_was_not(world: World) -> None:
    """4xx for one of three: tried again for that one; 5xx: failed for that one."""
    refused = world.inbox.refused
    refused |= {"b@example.com": "550 no such user", "c@example.com": "451 later"}
    to = ["a@example.com", "b@example.com", "c@example.com"]
    job = await world.send("email", to, subject="S", text="T")
    async with asyncio.timeout(120), world.app.worker():
        while (await job.info()).attempts_made < 1:
            await asyncio.sleep(0.005)
        del refused["c@example.com"]
        while (info := await job.info()).state not in ("completed", "failed"):
            await asyncio.sleep(0.01)
    assert info.state == "completed", info.failed_reason
    assert recipients(info) == [
        ("a@example.com", "sent"), ("b@example.com", "failed"), ("c@example.com", "sent"),
    ]  # fmt: skip
    assert "550" in info.result["recipients"][1]["reason"]
    assert world.inbox.to == [["a@example.com"], ["c@example.com"]]


async def test_wait_that_a_provider_asks_for_is_kept(world: World) -> None:
    world.telegram.next = [bot_error(429, "Too Many Requests: retry after 1", retry_after=1)]
    began = time.monotonic()
    info = await world.run(await world.send("telegram", ["77", "78"], text="Hi"))
    assert time.monotonic() - began > 0.9
    assert (info.state, info.attempts_made) == ("completed", 2)
    assert [one["to"] for one in world.telegram.taken] == ["77", "78"]


async def test_lost_answer_is_sent_once_more_and_never_again(world: World) -> None:
    world.telegram.next = [Answer(drops=True), Answer(drops=True)]
    info = await world.run(await world.send("telegram", ["77", "78"], text="Hi"))
    assert recipients(info) == [("77", "failed"), ("78", "sent")]
    assert "lost twice" in info.result["recipients"][0]["reason"]
    assert [one["to"] for one in world.telegram.taken] == ["78"]


@pytest.mark.parametrize(
    ("channel", "to", "words"),
    [
        ("telegram", shapes.BLOCKED, "403 Forbidden: bot was blocked by the user"),
        ("telegram", "@nobody_here", "send /start to the bot first"),
        ("sms", shapes.BAD_NUMBER, "21211"),
        ("sms", "0170", "expected a number such as"),
        ("browser", "u9", "no browser of this user is subscribed"),
    ],
)
async def test_refusals_for_good_fail_at_once(
    world: World, channel: str, to: str, words: str
) -> None:
    info = await world.run(await world.send(channel, to, text="Hi"))
    assert (info.state, info.attempts_made) == ("failed", 1)
    assert words in info.failed_reason


async def test_partly_refused_completes_and_tells(world: World) -> None:
    info = await world.run(await world.send("telegram", [shapes.BLOCKED, "77"], text="Hi"))
    assert recipients(info) == [(shapes.BLOCKED, "failed"), ("77", "sent")]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"channel": "fax", "options": {"to": "a"}}, ["'channel'", "fax"]),
        ({"channel": "sms", "options": {"to": "+15551234567"}}, ["give template, text or html"]),
        ({"channel": "sms", "options": {"to": [], "text": "x"}}, ["at least one receiver"]),
        ({"channel": "sms", "options": {"to": ["a"], "template": "no"}}, ["'no'", "welcome"]),
        ({"channel": "email", "options": {"to": "a@example.com", "text": "x"}}, ["subject"]),
        ({"channel": "email", "options": {"to": "nobody", "text": "x", "subject": "S"}}, ["to"]),
        (
            {"channel": "database", "options": {"to": [str(n) for n in range(501)], "text": "x"}},
            ["501 receivers"],
        ),
    ],
)
async def test_nonsense_fails_at_once_and_is_kept(
    world: World, data: dict[str, Any], words: list[str]
) -> None:
    job = await world.app.queue("notifications").add("__default__", data)
    info = await world.run(job)
    assert (info.state, info.attempts_made) == ("failed", 1)
    for word in words:
        assert word in info.failed_reason
    assert info.data == data


async def test_without_configuration_it_fails_loudly(url: str) -> None:
    app = App(url)
    app.include(notifications)
    http = AioHttpClient()
    app.provide(Channels(telegram=telegram_from_environment({}, http)))
    expected = {
        "sms": "SMS_PROVIDER", "telegram": "TELEGRAM_BOT_TOKEN", "email": "'email'",
        "browser": "'browser'", "database": "'database'",
    }  # fmt: skip
    for channel, word in expected.items():
        data: Any = {"channel": channel, "options": {"to": "+15551234567", "text": "x"}}
        job = await app.queue("notifications").add("n", data)
        await asyncio.wait_for(app.worker().run(until_idle=True), 120)
        info = await job.info()
        assert (info.state, info.attempts_made) == ("failed", 1)
        assert word in str(info.failed_reason)
    await http.close()
    await app.close()


async def test_service_adds_jobs(world: World) -> None:
    service = NotificationService(world.app.bound(notify_send))
    options = NotificationOptions(to="77", text="Hi")
    job = await service.send("telegram", options, max_attempts=5, job_id="once")
    again = await service.send("telegram", {"to": "77", "text": "Hi"}, job_id="once")
    later = await service.send("telegram", options, delay_s=3600)
    assert job.id == again.id == "once"
    info = await job.info()
    assert info.max_attempts == 5
    assert info.data["maxAttempts"] == 5
    assert (await later.info()).state == "delayed"
    with pytest.raises(InvalidPayloadError, match="channel"):
        await service.send("fax", options)  # type: ignore[arg-type]
    with pytest.raises(UnusableInputError, match="give template, text or html"):
        await service.send("sms", NotificationOptions(to="+15551234567"))
    with pytest.raises(InvalidOptionError, match="max_attempts"):
        await service.send("sms", options, max_attempts=0)


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"SMS_PROVIDER": "pigeon"}, "SMS_PROVIDER='pigeon'"),
        ({"SMS_PROVIDER": "http", "SMS_FROM": "S", "SMS_API_BASE": "https://x"}, "SMS_API_KEY"),
        ({"SMS_PROVIDER": "http", "SMS_FROM": "S", "SMS_API_KEY": "k"}, "SMS_API_BASE"),
        ({"SMS_PROVIDER": "twilio", "SMS_API_KEY": "a:b"}, "SMS_FROM"),
        ({"SMS_PROVIDER": "twilio", "SMS_API_KEY": "ab", "SMS_FROM": "S"}, "SMS_API_KEY"),
        ({"TELEGRAM_BOT_TOKEN": "x"}, "TELEGRAM_BOT_TOKEN"),
    ],
)
def test_unusable_settings_name_the_variable(environ: dict[str, str], word: str) -> None:
    read = telegram_from_environment if "TELEGRAM_BOT_TOKEN" in environ else sms_from_environment
    with pytest.raises(InvalidSettingError, match=word):
        read(environ, AioHttpClient())


async def test_none_is_no_provider() -> None:
    sms = sms_from_environment({"SMS_PROVIDER": "none"}, AioHttpClient())
    with pytest.raises(MessengerSetupError, match="SMS_PROVIDER"):
        await sms.send("+15551234567", "Hi", key="k")


PUBLISHED = [
    (
        {
            "channel": "email",
            "options": {
                "channel": "email", "to": "u@x.test", "templateId": "welcome",
                "variables": {"name": "N"},
            },
            "maxAttempts": 3,
        },
        ("mail", "u@x.test", "N"),
    ),
    (
        {"channel": "telegram", "options": {"chatId": 77, "message": "M", "subject": "S"}},
        ("telegram", "77", "S\nM"),
    ),
    (
        {"channel": "sms", "options": {"options": {"phone": "+15551234567", "body": "B"}}},
        ("sms", "+15551234567", "B"),
    ),
    (
        {"channel": "email", "options": {
            "to": ["u@x.test"], "subject": "S", "html": "<p>H</p>", "text": "T"}},
        ("mail", "u@x.test", "T"),
    ),
    (
        {"channel": "email", "options": {
            "to": "u@x.test", "template": "welcome", "templateData": {"name": "N"}, "body": "x"}},
        ("mail", "u@x.test", "N"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("data", "expected"), PUBLISHED)
async def test_published_payloads_are_sent(
    data: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    """As published producers send them."""
    telegram, sms = MemoryMessenger(), MemoryMessenger()
    mailer = MemoryMailer(sender="a@example.com")
    mail = EmailService(EmailSettings(sender="a@example.com", provider="memory"), mailer=mailer)
    app = App("sqlite://:memory:")
    forms: Any = [notify_send, published_notification]
    app.bind("notifications", notify_send, adapter=forms, rename="camel")
    app.provide(Channels(mail=mail, telegram=telegram, sms=sms))
    job = await app.queue("notifications").add("__default__", data)
    await asyncio.wait_for(app.worker().run(until_idle=True), 120)

    result = await job.result()
    assert list(result)[:2] == ["success", "messageId"]
    way, to, text = expected
    sent = [(one.to, one.text) for one in (telegram if way == "telegram" else sms).sent]
    if way == "mail":
        sent = [(each.to[0], each.text) for each in mailer.sent]
    assert [one for one, _ in sent] == [to]
    assert text in sent[0][1]
    await mail.close()
    await app.close()


async def test_published_delay_counts_from_when_it_was_added() -> None:
    notices = MemoryNotices()
    app = App("sqlite://:memory:")
    forms: Any = [notify_send, published_notification]
    app.bind("notifications", notify_send, adapter=forms, rename="camel")
    app.provide(Channels(notices=notices))
    options: dict[str, Any] = {
        "to": "usr_1",
        "subject": "T",
        "content": "C",
        "eventId": "ev_1",
        "delay": 600,
    }
    began = time.time()
    data: Any = {
        "channel": "database",
        "options": {**options, "metadata": {"n": 1}},
        "maxAttempts": 3,
    }
    job = await app.queue("notifications").add("__default__", data)
    await ended(app, job)
    (notice,) = await notices.of_user("usr_1")
    assert notice.created_at is not None
    assert notice.created_at.timestamp() - began >= 0.55
    assert notice.metadata == {"n": 1}
    assert (await job.info()).attempts_made == 1
    none = await app.queue("notifications").add("x", {"channel": "sms", "options": {"text": "x"}})
    await asyncio.wait_for(app.worker().run(until_idle=True), 120)
    assert "at least one receiver" in str((await none.info()).failed_reason)
    await app.close()
