"""What must not work, and what it is answered with. What a file must not do: `test_uploads.py`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from tests.examples.marketplace.conftest import Start
from tests.support.example_processes import ROOT
from tests.support.smtp_server import Inbox

pytestmark = pytest.mark.timeout(600)
PAYMENT = {
    "paymentId": "pay1", "orderId": "o1", "userId": "ann", "provider": "stripe",
    "currency": "USD",
}  # fmt: skip
TRIES = """
found = []
for call in (
    lambda: s.add_email_job(template="password_reset", data={}, to="a@example.com"),
    lambda: s.add_email_job(template="passwrd_reset", data={}, to="a@example.com"),
    lambda: s.add_email_job(template="welcome", data={}, to="a@example.com\\nBcc: b@example.com"),
    lambda: s.add_email_job(template="welcome", data={}, to="a@example.com", replTo="b"),
    lambda: s.add_analytics_job(type="yearly"),
    lambda: s.add_payment_retry_job(**PAYMENT, amountMinor=0),
    lambda: s.add_payment_retry_job(**PAYMENT, amountMinor=-1),
    lambda: s.add_payment_retry_job(**PAYMENT, amountMinor=10.5),
    lambda: s.add_payment_retry_job(**PAYMENT, amountMinor="10"),
    lambda: s.files.process_file("f", "http://x.test/a", "a.jpg", "image/jpeg", -1, "ann"),
):
    try:
        await call()
        found.append("taken")
    except Exception as error:
        found.append(f"{type(error).__name__}: {error}")
say(found)
""".replace("PAYMENT", repr(PAYMENT))


async def test_nonsense_is_refused_at_the_door_with_its_field(start: Start) -> None:
    market = await start(workers=0, api=False)

    found = await market.run(TRIES)

    said = [
        "variable 'url'", "did you mean 'password_reset'", "to", "replTo", "type",
        "amountMinor", "amountMinor", "amountMinor", "amountMinor", "fileSize",
    ]  # fmt: skip
    for error, word in zip(found, said, strict=True):
        assert error.startswith(("InvalidPayloadError", "InvalidOptionError")), error
        assert word in error
    assert all((info.waiting, info.prioritized) == (0, 0) for info in await market.app.queues())


async def test_what_only_a_worker_can_see_fails_at_once_and_leaves_a_letter(
    start: Start, inbox: Inbox
) -> None:
    market = await start()
    bad: list[tuple[str, dict[str, Any], str]] = [
        ("email-sending", {"to": "a@example.com", "template": "password_reset", "data": {}}, "url"),
        ("analytics-aggregation", {"type": "daily", "metrics": ["page_view"]}, "page_views"),
        (
            "analytics-aggregation",
            {"type": "daily", "dateRange": {"start": "2024-02-01", "end": "2024-01-01"}},
            "dateRange.end",
        ),
        ("payment-retry", {**PAYMENT, "amountMinor": 0}, "amountMinor"),
        ("payment-retry", {**PAYMENT, "amountMinor": 5, "provider": "paypal"}, "provider"),
        ("weekly-reports", {"weekStart": "2026-11-17"}, "2026-11-16"),
    ]
    ids = [await market.add(queue, "any-name", data) for queue, data, _ in bad]
    ended = [await market.ended(queue, id_) for (queue, _, _), id_ in zip(bad, ids, strict=True)]

    for (_, _, word), info in zip(bad, ended, strict=True):
        assert (info.state, info.attempts_made) == ("failed", 1)
        assert word in str(info.failed_reason)
    letters = (await market.app.dead_letters().list()).letters
    assert sorted(one.original_job_id for one in letters) == sorted(ids)
    assert inbox.mails == []


async def test_upload_from_a_private_address_fails_at_once(start: Start) -> None:
    market = await start(TORIL_EGRESS_ALLOW="")
    url = "http://127.0.0.1:1/a.jpg"
    job_id = await market.run(
        f'job = await s.files.process_file("f", {url!r}, "a.jpg", "image/jpeg", 5, "ann")\n'
        "say(job.id)"
    )
    info = await market.ended("file-processing", job_id)

    assert (info.state, info.attempts_made) == ("failed", 1)
    assert "127.0.0.1" in str(info.failed_reason)


@pytest.mark.parametrize("environment", ["sqlite"], indirect=True)  # no store is opened
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TORIL_ENV", "prod", "TORIL_ENV='prod': expected development, production, test"),
        ("MAX_FILE_SIZE", "100MB", "MAX_FILE_SIZE='100MB'"),
        ("ALLOWED_FILE_TYPES", "image/peg", "ALLOWED_FILE_TYPES='image/peg'"),
        ("CLAMD_ADDRESS", "http://x", "CLAMD_ADDRESS='http://x'"),
        ("QUEUE_OPTIONS", '{"mail": {}}', "QUEUE_OPTIONS"),
        ("PORT", "a", "PORT='a'"),
        ("NODE_ENV", "production", "is not set"),
    ],
)
async def test_setting_that_makes_no_sense_stops_the_start_in_one_sentence(
    start: Start, name: str, value: str, said: str
) -> None:
    market = await start(workers=0, api=False)
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "examples.marketplace"],
        cwd=ROOT, env={**market.environment, name: value}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip

    assert ran.returncode == 1
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
