"""Programs on Node beside the marketplace: what they really add, and their own workers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.examples.marketplace.conftest import Start
from tests.interop.samples import samples
from tests.services.pictures import photo
from tests.support.node import Node
from tests.support.smtp_server import Inbox

pytestmark = [
    pytest.mark.timeout(600),  # the first one installs
    pytest.mark.parametrize("environment", ["redis"], indirect=True),
]


@pytest.fixture
async def node(redis_url: str) -> AsyncIterator[Node]:
    async with await Node.start(redis_url) as started:
        yield started


def sample(queue: str, name: str, **holds: Any) -> dict[str, Any]:
    """Return the data of a sample."""
    (found,) = [
        one
        for one in samples(queue)
        if one["name"] == name and all(one["data"].get(key) == holds[key] for key in holds)
    ]
    data: dict[str, Any] = found["data"]
    return data


async def test_jobs_of_published_producers_are_done(start: Start, node: Node, inbox: Inbox) -> None:
    market = await start()
    picture = photo("rocket.jpg")
    file = sample("file-processing", "process-file")
    file["fileSize"] = len(picture)
    await market.run(
        f"""
        from importlib.resources import files
        content = files("toril.library.images").joinpath("photos", "rocket.jpg").read_bytes()
        await services.objects.put({file["fileUrl"]!r}, content)
        """
    )
    single = sample("email-sending", "send-email", to="u@x.test")
    several = sample("email-sending", "send-email", template="custom")
    commission = sample("referral-commission", "calculate-commission")
    letter = sample("dead-letter", "dead-letter")
    letter["originalData"] = {"to": "late@x.test", "template": "welcome", "data": {}}

    async def done(queue: str, name: str, data: dict[str, Any], **options: Any) -> Any:
        info = await market.ended(queue, await node.add(queue, name, data, **options))
        assert info.state == "completed", info.failed_reason
        return info.result

    await done("email-sending", "send-email", single, priority=2)
    await done("email-sending", "send-email", several, priority=3)
    made = await done("file-processing", "process-file", file, priority=1)
    payment = sample("payment-retry", "retry-payment")
    paid = await done("payment-retry", "retry-payment", payment, priority=1, delay=50)
    earned = await done("referral-commission", "calculate-commission", commission, priority=2)
    paying = sample("referral-commission", "bulk-commission-payouts")
    period = {**paying, "periodEnd": "2999-08-31T23:59:59.000Z"}
    before = await done("referral-commission", "bulk-commission-payouts", paying, priority=2)
    single = {**period, "referrerId": commission["referrerId"], "minimumPayout": 5}
    after = await done("referral-commission", "process-commission-payout", single, priority=2)
    repeated = await done("daily-reports", "daily-reports-scheduler", {"scheduled": True})
    letter_id = await node.add("dead-letter", "dead-letter", letter, priority=1)
    await market.ended("dead-letter", letter_id)
    back = await market.ask(
        "POST", "/api/jobs/retry", {"queueName": "dead-letter", "jobId": letter_id}
    )
    await market.ended("email-sending", back.json()["jobId"])

    to = [(one["to"], one["subject"]) for one in inbox.mails]
    assert to[:3] == [("u@x.test", "S"), ("a@x.test", "S"), ("b@x.test", "S")]
    assert to[-1][0] == "late@x.test"
    (attached,) = inbox.mails[1].iter_attachments()
    assert attached.get_payload(decode=True) == b"hi"
    assert [one["kind"] for one in made["outputs"]] == ["original", "thumbnail", "thumbnail"]
    assert (paid["state"], paid["paymentId"]) == ("succeeded", "pay1")
    assert earned["entries"][0]["amountMinor"] == 500
    assert (before["booked"], before["belowMinimum"]) == (0, 1)  # it was earned after that August
    assert after["paid"] == [{"currency": "USD", "payouts": 1, "amountMinor": 500}]
    assert len(repeated["files"]) == 3


async def test_workers_of_both_kinds_share_a_queue(start: Start, node: Node, inbox: Inbox) -> None:
    market = await start()
    await market.app.queue("email-sending").pause()
    mail = {"template": "welcome", "data": {}}
    ours = [
        await market.add("email-sending", "send-email", {**mail, "to": f"t{n}@x.test"}, priority=1)
        for n in range(20)
    ]
    theirs = [
        await node.add("email-sending", "send-email", {**mail, "to": f"n{n}@x.test"}, priority=3)
        for n in range(20)
    ]
    at_node = await node.worker("email-sending", {"sleepMs": 20, "returns": "by node"})
    await market.app.queue("email-sending").resume()
    ended = [await market.ended("email-sending", job) for job in (*ours, *theirs)]
    await at_node.close()

    by_node = [info for info in ended if info.result == "by node"]
    assert all(info.state == "completed" for info in ended)
    assert len(by_node) + len(inbox.mails) == 40
    counts = await node.call("email-sending", "getJobCounts")
    assert (counts["completed"], counts["failed"]) == (40, 0)


async def test_sealed_payment_method_is_nowhere_in_redis(start: Start) -> None:
    market = await start(workers=0)
    data = {
        "paymentId": "pay1", "orderId": "o1", "userId": "u", "provider": "stripe",
        "amountMinor": 1999, "currency": "USD", "paymentMethodId": "pm_secret_4242",
    }  # fmt: skip
    job_id = await market.run(f"job = await s.add_payment_retry_job(**{data!r})\nsay(job.id)")
    stored = await market.app.queue("payment-retry").job(job_id).info()
    old = (market.folder / "data/encryption.key").read_text()
    new = "c2VhbGVkIGZpZWxkcywgYSBrZXkgb2YgMzIgYnl0ZXM="
    await market.worker(TORIL_ENCRYPTION_KEYS=f"{new},{old}")  # keys are being changed
    info = await market.ended("payment-retry", job_id)

    assert "pm_secret_4242" not in json.dumps(stored.data)
    assert list(stored.data["paymentMethodId"]) == ["$sealed"]
    assert info.result["state"] == "succeeded"
