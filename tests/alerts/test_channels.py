"""What channels send, and what comes of one that hangs or refuses."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from tests.alerts.watching import Outside, Remembering
from tests.support.http_server import Answer, serving
from tests.support.smtp_server import receiving
from tests.support.waiting import wait_until

from toril import App, InvalidOptionError, Settings
from toril.alerts.channels.apprise import AppriseChannel, AppriseError
from toril.alerts.channels.mail import MailChannel, html_of, text_of
from toril.alerts.channels.signing import check_webhook
from toril.alerts.channels.webhook import WebhookChannel
from toril.alerts.message import AlertChannel, AlertMessage
from toril.alerts.options import AlertOptions, AlertThresholds
from toril.alerts.post import GIVE_UP_MS, Post
from toril.services.http.port import EgressRefusedError, HttpError
from toril.testing.clock import ManualClock

SECRET = "whsec_" + b64encode(b"a secret of thirty-two bytes, ok").decode()
MESSAGE = AlertMessage(
    id="1900000000000-0",
    rule="queue_size",
    queue="mail",
    state="raised",
    value=1200,
    threshold=1000,
    text="1,200 jobs wait in queue mail; its threshold is 1,000",
    at=datetime(2026, 12, 1, 8, 0, tzinfo=UTC),
    since=datetime(2026, 12, 1, 7, 55, tzinfo=UTC),
    source="shop",
)


async def test_webhook_is_signed_so_that_anybody_can_check_it() -> None:
    """With nothing but what the documentation says."""
    async with serving() as server:
        await WebhookChannel(server.url("/in"), secret=SECRET, allow=["127.0.0.1"]).send(MESSAGE)

    (request,) = server.requests
    stamp, message_id = request.headers["webhook-timestamp"], request.headers["webhook-id"]
    signed = f"{message_id}.{stamp}.".encode() + request.body
    key = b64decode(SECRET.removeprefix("whsec_"))
    wanted = b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{wanted}"
    assert abs(int(stamp) - time.time()) < 60
    assert message_id == MESSAGE.id
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "id": "1900000000000-0", "rule": "queue_size", "queue": "mail", "state": "raised",
        "value": 1200.0, "threshold": 1000.0, "text": MESSAGE.text, "source": "shop",
        "at": "2026-12-01T08:00:00Z", "since": "2026-12-01T07:55:00Z",
    }  # fmt: skip
    assert check_webhook(SECRET, request.headers, request.body)


async def test_signature_fits_one_body_one_secret_and_one_time() -> None:
    old, new = "x" * 32, "y" * 32
    async with serving() as server:
        await WebhookChannel(server.url(), secret=[old, new], allow=["127.0.0.1"]).send(MESSAGE)
    (request,) = server.requests
    headers, body = request.headers, request.body
    later_s = time.time() + 400

    assert check_webhook(old, headers, body)
    assert check_webhook(new, headers, body)
    assert check_webhook(new, {name.title(): value for name, value in headers.items()}, body)
    assert not check_webhook("z" * 32, headers, body)
    assert not check_webhook(new, headers, body + b" ")
    assert not check_webhook(new, {**headers, "webhook-id": "other"}, body)
    assert not check_webhook(new, {**headers, "webhook-timestamp": "1"}, body)
    assert not check_webhook(new, headers, body, now_s=later_s)
    assert check_webhook(new, headers, body, now_s=later_s, tolerance_s=900)
    for broken in ({}, {"webhook-timestamp": "soon"}, {"webhook-timestamp": "9" * 99}):
        assert not check_webhook(new, broken, body)


@pytest.mark.parametrize("status", [301, 307, 400, 404, 500])
async def test_webhook_that_is_not_taken_is_an_error(status: int) -> None:
    async with serving(lambda _: Answer(status, {"Location": "/other"})) as server:
        channel = WebhookChannel(server.url(), secret=SECRET, allow=["127.0.0.1"])
        with pytest.raises(HttpError, match=f"answered {status}"):
            await channel.send(MESSAGE)
    assert len(server.requests) == 1


async def test_webhook_does_not_reach_inside_unless_it_may() -> None:
    async with serving() as server:
        channel = WebhookChannel(server.url(), secret=SECRET)
        with pytest.raises(EgressRefusedError, match="TORIL_EGRESS_ALLOW"):
            await channel.send(MESSAGE)
        allowed = WebhookChannel(server.url(), secret=SECRET)
        App(
            "sqlite://:memory:",
            settings=Settings(egress_allow=("127.0.0.0/8",)),
            alerts=AlertOptions(channels=[allowed]),
        )
        await allowed.send(MESSAGE)
    assert len(server.requests) == 1


@pytest.mark.parametrize("secret", ["short", "whsec_no base64", "whsec_" + "QUJD", []])
def test_secret_that_is_none_is_refused_and_not_shown(secret: str | Sequence[str]) -> None:
    with pytest.raises(InvalidOptionError) as refused:
        WebhookChannel("https://example.com/", secret=secret)
    assert str(refused.value).startswith("secret: ")
    assert not isinstance(secret, str) or secret.removeprefix("whsec_") not in str(refused.value)


async def test_mail_is_text_and_html_for_light_and_dark() -> None:
    with receiving() as inbox:
        await MailChannel(["ops@example.com"], mailer=inbox.url, sender="toril@example.com").send(
            MESSAGE
        )

    (mail,) = inbox.mails
    assert mail["subject"] == "[shop] Queue is long: mail"
    assert mail["message-id"] == "<toril-alert-1900000000000-0@example.com>"
    assert mail["auto-submitted"] == "auto-generated"
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    for body in (text.get_content(), html.get_content()):
        for fact in (MESSAGE.text, "queue_size", "1,200", "1,000", "2026-12-01 07:55:00 UTC"):
            assert fact in body
    page = html.get_content()
    assert "prefers-color-scheme: dark" in page
    assert 'style="' in page
    assert "http" not in page.replace("http-equiv", ""), "nothing is loaded"


def test_title_names_few_queues_and_the_message_all() -> None:
    queues = ", ".join(f"queue-{number}" for number in range(12))
    message = msgspec.structs.replace(MESSAGE, rule="worker_lost", queue=queues)

    assert message.title == "Worker lost: queue-0, queue-1, and 10 more"
    assert queues in text_of(message)
    assert queues in html_of(message)


def test_html_of_hostile_text_is_harmless() -> None:
    hostile = "<script>alert(1)</script>\"'&\r\nBcc: x"
    message = msgspec.structs.replace(MESSAGE, queue=hostile, text=hostile, source=hostile)

    page = html_of(message)

    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert hostile in text_of(message)


async def test_mail_of_hostile_names_has_one_subject() -> None:
    message = msgspec.structs.replace(MESSAGE, queue="a\r\nBcc: x@example.com", source="b\nc")
    with receiving() as inbox:
        await MailChannel("ops@example.com", mailer=inbox.url).send(message)

    assert inbox.to == [["ops@example.com"]]
    assert inbox.mails[0]["bcc"] is None


async def test_mails_go_into_a_folder_without_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    channel = MailChannel("ops@example.com")
    App("sqlite://:memory:", settings=Settings(), alerts=AlertOptions(channels=[channel]))

    await channel.send(MESSAGE)

    (file,) = (tmp_path / "mail").glob("*.eml")
    assert b"Queue is long: mail" in file.read_bytes()


async def test_settings_name_the_mail_server() -> None:
    with receiving() as inbox:
        settings = Settings.load({"SMTP_URL": inbox.url, "TORIL_MAIL_FROM": "me@example.com"})
        channel = MailChannel("ops@example.com")
        App("sqlite://:memory:", settings=settings, alerts=AlertOptions(channels=[channel]))
        await channel.send(MESSAGE)

    assert inbox.mails[0]["from"] == "me@example.com"


def test_mail_server_that_is_none_is_refused_where_it_is_used() -> None:
    """Other programs have an SMTP_URL, too: it disturbs only who sends mail."""
    settings = Settings.load({"SMTP_URL": "//jo:hunter2@box"})
    App("sqlite://:memory:", settings=settings)
    with pytest.raises(InvalidOptionError, match="SMTP_URL") as refused:
        App(
            "sqlite://:memory:",
            settings=settings,
            alerts=AlertOptions(channels=[MailChannel("ops@example.com")]),
        )
    assert "hunter2" not in str(refused.value)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # Apprise imports it
async def test_apprise_reaches_a_server() -> None:
    async with serving() as server:
        await AppriseChannel(f"json://127.0.0.1:{server.port}/in").send(MESSAGE)

    got = json.loads(server.requests[0].body)
    assert got["title"] == "[shop] Queue is long: mail"
    assert got["message"] == MESSAGE.text
    assert got["type"] == "failure"


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # Apprise imports it
async def test_apprise_says_what_it_could_not_do() -> None:
    async with serving(lambda _: Answer(500)) as server:
        with pytest.raises(AppriseError):
            await AppriseChannel(f"json://127.0.0.1:{server.port}/in").send(MESSAGE)
    with pytest.raises(InvalidOptionError, match=r"number 1, nosuch://…") as refused:
        await AppriseChannel("nosuch://hunter2").send(MESSAGE)
    assert "hunter2" not in str(refused.value)


class Hanging:
    name = "hanging"

    async def send(self, message: AlertMessage) -> None:
        await asyncio.Event().wait()


class Refusing:
    def __init__(self) -> None:
        self.name = "refusing"
        self.tries = 0
        self.refuses = True
        self.got: list[AlertMessage] = []

    async def send(self, message: AlertMessage) -> None:
        self.tries += 1
        if self.refuses:
            raise ConnectionError("refused by smtp://jo:hunter2@box")
        self.got.append(message)


async def test_channel_that_hangs_or_refuses_delays_no_other_and_no_job(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With a worker of its own clock, whose jobs go on meanwhile."""
    good, refusing = Remembering(), Refusing()
    channels: list[AlertChannel] = [Hanging(), refusing, good]
    options = AlertOptions(
        channels=channels, thresholds=AlertThresholds(size=2), every_s=0.1, recovery_s=0
    )
    async with App(url, alerts=options) as app:

        @app.task(queue="quick")
        async def quick() -> int:
            return 1

        await app.queue("long").add_many([("x", {})] * 3)
        async with app.worker():
            await wait_until(lambda: good.got, what="the good channel")
            begun_s = time.monotonic()
            jobs = [await quick.enqueue() for _ in range(20)]
            assert [await job.result(timeout_s=60) for job in jobs] == [1] * 20
            assert time.monotonic() - begun_s < 5
            assert refusing.tries == 1
        unsent = {one.channel: one for one in await app.alerts.unsent()}

    assert unsent.keys() == {"hanging", "refusing"}
    assert unsent["refusing"].tries == 1
    assert "trying again in 5.0 s: refused by smtp://jo:***@box" in caplog.text


async def test_failing_channel_is_tried_with_growing_pauses_and_works_again(
    clock: ManualClock, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    refusing = Refusing()
    outside.options(
        AlertOptions(
            channels=[refusing, outside.channel],
            thresholds=AlertThresholds(size=1, oldest_s=None),
        )
    )
    await outside.app.queue("mail").add_many([("x", {})] * 2)
    await outside.look()
    tried = []
    for second in range(0, 640, 5):
        before = refusing.tries
        await outside.pass_time(5)
        if refusing.tries > before:
            tried.append(second + 5)
    assert tried == [5, 15, 35, 75, 155, 315, 635]
    assert outside.told[0] == "queue_size mail raised"

    refusing.refuses = False
    await outside.pass_time(900)
    assert [one.rule for one in refusing.got] == ["queue_size", "no_worker"]
    assert "channel 'refusing' of alerts works again" in caplog.text
    assert await outside.app.alerts.unsent() == []


async def test_message_that_nobody_sends_is_dropped_after_a_day(
    clock: ManualClock, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    outside.options(
        AlertOptions(
            channels=[Refusing()],
            thresholds=AlertThresholds(size=1, no_worker_s=None, oldest_s=None),
        )
    )
    await outside.app.queue("mail").add_many([("x", {})] * 2)
    await outside.look()
    assert len(await outside.app.alerts.unsent()) == 1
    await outside.pass_time(GIVE_UP_MS / 1000, step_s=GIVE_UP_MS / 4000)

    assert await outside.app.alerts.unsent() == []
    assert "was not sent by 'refusing' within a day" in caplog.text


async def test_another_process_goes_on_with_what_was_not_sent(outside: Outside) -> None:
    """The one that watched was killed before it could send."""
    outside.only(size=1)
    await outside.app.queue("mail").add_many([("x", {})] * 2)
    first, second, _ = outside.watches

    class Killed(Post):
        async def look(self, waiting: object) -> None:
            raise SystemError("killed")

    first._make_post = lambda store: Killed(lambda: store.alerts, store.clock, [])
    with pytest.raises(SystemError):
        await first.tick()
    assert outside.told == []
    outside.watches = [second]
    await outside.look()
    assert outside.told == [], "the lease of the first still holds"
    await outside.pass_time(30)

    assert outside.told == ["queue_size mail raised"]


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
def test_apprise_that_hangs_does_not_keep_the_process(tmp_path: Path) -> None:
    """It blocks a thread; at its end a process waits for those of the default pool."""
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio, socket, sys\n"
        "from datetime import datetime, UTC\n"
        "from toril import AlertMessage, AppriseChannel\n"
        "now = datetime.now(UTC)\n"
        "silent = socket.create_server(('127.0.0.1', 0))\n"
        "channel = AppriseChannel(f'json://127.0.0.1:{silent.getsockname()[1]}/?rto=600&cto=600')\n"
        "message = AlertMessage(id='1', rule='x', queue='q', state='raised', value=1,\n"
        "                       threshold=1, text='t', at=now, since=now, source='')\n"
        "async def main():\n"
        "    try:\n"
        "        async with asyncio.timeout(3):\n"
        "            await channel.send(message)\n"
        "    except TimeoutError:\n"
        "        print('given up', flush=True)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=40, check=False
    )

    assert (done.stdout, done.returncode) == ("given up\n", 0), done.stderr
