"""The marketplace sends by SendGrid: mails, campaigns, the alert of a killed worker."""

from __future__ import annotations

from typing import Any

import pytest
from tests.examples.marketplace.conftest import Start
from tests.support.http_server import Answer
from tests.support.sendgrid import KEY, SendGrid, sendgrid
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(600)
MAIL = {"template": "welcome", "data": {"name": "Ann"}}


async def taken(fake: SendGrid, subject: str) -> dict[str, Any]:
    """Wait for a mail with such a subject, and return it."""

    def found() -> list[dict[str, Any]]:
        return [one for one in fake.taken if subject in one["subject"]]

    await wait_until(lambda: bool(found()), deadline_s=180, what=f"a mail {subject!r}")
    return found()[0]


def receivers(fake: SendGrid) -> list[str]:
    """Return who got a mail of the shop's, in order."""
    return [
        one["email"]
        for body in fake.taken
        if "alert" not in body["subject"].lower()
        for each in body["personalizations"]
        for one in each["to"]
    ]


async def test_mails_and_alerts_by_sendgrid(start: Start) -> None:
    """MP-13, MP-56: trouble is tried again; a killed worker is told."""
    async with sendgrid() as fake:
        market = await start(
            workers=2, EMAIL_PROVIDER="sendgrid", SENDGRID_API_KEY=KEY, SMTP_URL="",
            SENDGRID_API_BASE=fake.server.url(""), EMAIL_FROM="market@example.com",
            ALERT_EMAIL_TO="ops@example.com", ALERT_EVERY_S="1",
        )  # fmt: skip
        market.processes[-1].kill()

        fake.next = [Answer(status=503, body=b"busy")]
        sent = await market.done("email-sending", "send-email", {**MAIL, "to": "a@example.com"})
        people = [{"to": f"{name}@example.com"} for name in ("b", "550-gone", "c")]
        sale = {"template": "marketing", "data": {"title": "Sale", "message": "Hi"}}
        campaign = await market.done(
            "email-sending", "send-campaign", {**sale, "recipients": people}
        )
        lost = await taken(fake, "Worker lost")

    assert sent["accepted"] == ["a@example.com"]
    assert campaign["accepted"] == ["b@example.com", "c@example.com"]
    assert campaign["rejected"] == ["550-gone@example.com"]
    assert receivers(fake)[:3] == ["a@example.com", "b@example.com", "c@example.com"]
    mail = next(one for one in fake.taken if "Sale" in one["subject"])
    assert mail["from"]["email"] == "market@example.com"
    assert "List-Unsubscribe" in mail["headers"]
    assert lost["personalizations"] == [{"to": [{"email": "ops@example.com"}]}]
    assert "email-sending" in str(lost["content"])


async def test_wrong_key_names_itself_in_the_job_and_is_not_shown(start: Start) -> None:
    async with sendgrid() as fake:
        market = await start(
            EMAIL_PROVIDER="sendgrid", SENDGRID_API_KEY="SG.hunter2", SMTP_URL="",
            SENDGRID_API_BASE=fake.server.url(""), EMAIL_FROM="market@example.com",
        )  # fmt: skip
        job = await market.add("email-sending", "send-email", {**MAIL, "to": "a@example.com"})
        failed = await market.ended("email-sending", job)

    assert failed.state == "failed"
    assert "SendGrid: 401" in str(failed.failed_reason)
    assert "hunter2" not in market.log("worker") + market.log("api") + str(failed)
