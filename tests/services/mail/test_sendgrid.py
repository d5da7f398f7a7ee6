"""What is SendGrid's own: its answers, its key, lost answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.http_server import Answer
from tests.support.sendgrid import KEY, SendGrid, sendgrid

from toril.core.errors import InvalidOptionError
from toril.services.http.aio import AioHttpClient
from toril.services.http.egress import EgressPolicy
from toril.services.http.port import HttpLimits
from toril.services.mail.port import Mail, MailError, MailRefusedError, MailUnknownError
from toril.services.mail.sendgrid import SendGridMailer

MAIL = Mail(to=["Jo <jo@example.com>"], subject="s", text="t", reply_to="help@example.com")


@pytest.fixture
async def fake() -> AsyncIterator[SendGrid]:
    async with sendgrid() as made:
        yield made


@pytest.fixture
async def http() -> AsyncIterator[AioHttpClient]:
    made = AioHttpClient(EgressPolicy(["127.0.0.1"]), limits=HttpLimits(total_s=20.0))
    yield made
    await made.close()


async def test_mail_has_sendgrids_form(fake: SendGrid, http: AioHttpClient) -> None:
    mailer = SendGridMailer(KEY, http, sender="Shop <shop@example.com>", url=fake.server.url(""))
    receipt = await mailer.send(MAIL)

    assert receipt.message_id == "<sg-1>"
    assert fake.taken == [{
        "personalizations": [{"to": [{"email": "jo@example.com", "name": "Jo"}]}],
        "from": {"email": "shop@example.com", "name": "Shop"},
        "subject": "s",
        "content": [{"type": "text/plain", "value": "t"}],
        "reply_to": {"email": "help@example.com"},
    }]  # fmt: skip


async def test_answers_are_for_good_or_for_now(fake: SendGrid, http: AioHttpClient) -> None:
    mailer = SendGridMailer(KEY, http, sender="shop@example.com", url=fake.server.url(""))
    fake.next = [Answer(status=429, headers={"retry-after": "7"})]
    with pytest.raises(MailError, match="429") as failed:
        await mailer.send(MAIL)
    assert not isinstance(failed.value, MailRefusedError)
    assert failed.value.retry_after_s == 7.0
    fake.next = [Answer(status=413, body=b'{"errors":[{"message":"too large","field":null}]}')]
    with pytest.raises(MailRefusedError, match="413 too large") as failed:
        await mailer.send(MAIL)
    assert failed.value.refusals
    fake.next = [Answer(status=403, body=b"<html>")]
    with pytest.raises(MailRefusedError, match="403 <html>") as failed:
        await mailer.send(MAIL)
    assert failed.value.refusals == {}


async def test_wrong_key_is_no_fault_of_the_mail_and_is_not_shown(
    fake: SendGrid, http: AioHttpClient
) -> None:
    mailer = SendGridMailer("SG.hunter2", http, sender="s@example.com", url=fake.server.url(""))
    with pytest.raises(MailRefusedError, match="401") as failed:
        await mailer.send(MAIL)

    assert failed.value.refusals == {}
    assert "hunter2" not in f"{failed.value} {mailer!r}"


async def test_lost_answer_is_unknown_and_no_connection_is_not(
    fake: SendGrid, http: AioHttpClient
) -> None:
    port = fake.server.port
    hasty = AioHttpClient(EgressPolicy(["127.0.0.1"]), limits=HttpLimits(total_s=0.5))
    mailer = SendGridMailer(KEY, hasty, sender="s@example.com", url=fake.server.url(""))
    fake.next = [Answer(hangs=True)]
    with pytest.raises(MailUnknownError):
        await mailer.send(MAIL)
    await hasty.close()

    nobody = SendGridMailer(KEY, http, sender="s@example.com", url=f"http://127.0.0.1:{port + 0}")
    fake.server.answer = lambda request: Answer(status=500)
    with pytest.raises(MailError, match="500"):
        await nobody.send(MAIL)
    strict = AioHttpClient()
    inside = SendGridMailer(KEY, strict, sender="s@example.com", url="http://127.0.0.1:1")
    with pytest.raises(MailError) as failed:
        await inside.send(MAIL)
    assert not isinstance(failed.value, MailUnknownError)
    await strict.close()
    away = SendGridMailer(KEY, http, sender="s@example.com", url="http://127.0.0.1:1")
    with pytest.raises(MailError) as failed:
        await away.send(MAIL)
    assert not isinstance(failed.value, MailUnknownError | MailRefusedError)


@pytest.mark.parametrize("key", ["", "SG hunter2", "SG.hunter2\n"])
def test_key_that_makes_no_sense_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(InvalidOptionError, match="key=") as refused:
        SendGridMailer(key, AioHttpClient(), sender="s@example.com")
    assert "hunter2" not in str(refused.value)
