"""The marketplace, step by step, on both stores, with the servers that it works with."""

from __future__ import annotations

import asyncio
import io
import json
import re
import signal
import zipfile
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import httpx
import pytest
from PIL import Image
from tests.examples.marketplace.conftest import Start
from tests.examples.marketplace.market import ADMIN
from tests.services.pictures import photo
from tests.support.clamd import SIGNATURE, Clamd
from tests.support.http_server import Answer, Request, serving
from tests.support.payments import STRIPE_KEY, Stripe, provider_server
from tests.support.smtp_server import Inbox
from tests.support.waiting import wait_until

from toril.services.scan.memory import eicar

pytestmark = pytest.mark.timeout(600)
QUEUES = [
    "email-sending", "file-processing", "analytics-aggregation", "payment-retry",
    "referral-commission", "daily-reports", "weekly-reports", "dead-letter",
]  # fmt: skip
MAIL = {"template": "welcome", "data": {}}
PHOTO = photo("rocket.jpg")  # clamd of the tests takes no large files
ANN = 'await shop.insert("shop_users", id="ann", name="Ann", email="ann@example.com")'


async def mails(inbox: Inbox, many: int, subject: str = "") -> list[EmailMessage]:
    """Wait for so many mails of a subject, and return them."""

    def found() -> list[EmailMessage]:
        return [one for one in inbox.mails if subject in str(one["subject"])]

    await wait_until(lambda: len(found()) >= many, deadline_s=120, what=f"{many} mails {subject!r}")
    return found()


async def test_eight_queues_at_zero_and_a_worker(start: Start) -> None:
    market = await start()

    answer = await market.ask("GET", "/api/jobs/stats")
    older = await market.ask("GET", "/api/v1/jobs/stats")
    unknown = await market.ask("GET", "/api/jobs/stats", key=None)

    assert answer.status_code == 200
    stats = answer.json()
    zeros = dict.fromkeys(("waiting", "active", "completed", "failed"), 0)
    assert list(stats["queues"]) == QUEUES
    for name, counts in stats["queues"].items():
        delayed = {"daily-reports": 1, "weekly-reports": 1, "analytics-aggregation": 4}
        assert counts == {**zeros, "delayed": delayed.get(name, 0), "paused": False}
    assert stats["totals"] == {**zeros, "delayed": 6}
    assert stats["deadLetter"] == 0
    (worker,) = stats["workers"]
    assert sorted(worker["queues"]) == sorted(QUEUES)
    assert worker["busy"] == 0
    assert datetime.fromisoformat(worker["lastSeen"]) <= datetime.now(UTC)
    assert stats["errorRate"] == dict.fromkeys(QUEUES)
    assert stats["processingMs"]["dead-letter"] == {"p50": None, "p95": None}
    assert older.json()["success"] is True
    assert [one["total"] for one in older.json()["data"]] == [0, 0, 4, 0, 0, 1, 1, 0]
    assert unknown.status_code == 401


async def test_urgent_mails_go_first(start: Start, inbox: Inbox) -> None:
    one = json.dumps({"email-sending": {"concurrency": 1}})
    market = await start(workers=0, QUEUE_OPTIONS=one)
    await market.app.queue("email-sending").pause()
    await market.run(
        """
        for word in ("low", "normal", "high"):
            await s.add_email_job(template="welcome", data={"name": word}, priority=word,
                                  to="a@example.com")
        """
    )
    waiting = (await market.ask("GET", "/api/jobs/queues/email-sending")).json()
    await market.worker(QUEUE_OPTIONS=one)
    await market.app.queue("email-sending").resume()

    sent = await mails(inbox, 3)
    assert [re.findall(r"high|normal|low", str(mail["subject"]))[0] for mail in sent] == [
        "high", "normal", "low",
    ]  # fmt: skip
    assert (waiting["isPaused"], waiting["counts"]["waiting"]) == (True, 3)
    assert [job["name"] for job in waiting["jobs"]] == ["send-email"] * 3
    assert waiting["data"]["queueName"] == "email-sending"


async def test_campaign_reaches_all_but_the_one_that_bounces(start: Start, inbox: Inbox) -> None:
    inbox.refused["u7@example.com"] = "550 5.1.1 no such user"
    market = await start()
    added = await market.run(
        """
        people = [{"to": f"u{n}@example.com", "data": {"name": f"N{n}"}} for n in range(250)]
        jobs = await s.add_email_job(
            template="marketing", data={"title": "Sale", "message": "Hi"},
            recipients=people, campaignId="winter")
        say([job.id for job in jobs])
        """
    )
    results = [(await market.ended("email-sending", job)).result for job in added]

    assert len(added) == 3
    assert sum(len(one["accepted"]) for one in results) == 249
    assert [one["rejected"] for one in results] == [["u7@example.com"], [], []]
    assert len(inbox.mails) == 249
    assert {len(to) for to in inbox.to} == {1}
    mail = next(one for one in inbox.mails if one["to"] == "u42@example.com")
    assert "N42" in str(mail.get_body(("plain",)))
    assert "u41@example.com" not in mail.as_string()
    link = str(mail["List-Unsubscribe"]).strip("<>")
    token = link.partition("?t=")[2]
    async with httpx.AsyncClient() as http:
        looked = await http.get(f"{market.url}/unsubscribe", params={"t": token})
        done = await http.post(f"{market.url}/unsubscribe", params={"t": token})
        damaged = await http.post(f"{market.url}/unsubscribe", params={"t": f"{token}x"})
    assert (looked.status_code, done.status_code, damaged.status_code) == (200, 200, 404)
    people = [{"to": address} for address in ("u42@example.com", "u7@example.com", "v@example.com")]
    data = {"template": "marketing", "data": {"title": "T", "message": "M"}, "recipients": people}
    again = await market.done("email-sending", "send-campaign", data)
    assert again["accepted"] == ["v@example.com"]
    assert sorted(again["suppressed"]) == ["u42@example.com", "u7@example.com"]


async def test_welcome_mail_with_a_file(start: Start, inbox: Inbox) -> None:
    market = await start()
    files = market.folder / "data/files"
    (files / "a.txt").write_text("terms")
    await market.run('await s.email.send_welcome_email("a@example.com", "Ann", "https://x.test/")')
    await mails(inbox, 1)
    attachments = [{"filename": "terms.txt", "path": "a.txt"}]
    await market.done(
        "email-sending", "send-email", {**MAIL, "to": "b@example.com", "attachments": attachments}
    )
    outside = [{"filename": "x", "path": "../encryption.key"}]
    refused = await market.add(
        "email-sending", "x", {**MAIL, "to": "b@example.com", "attachments": outside}
    )
    info = await market.ended("email-sending", refused)

    first, second = inbox.mails
    assert "https://x.test/" in first.as_string()
    (file,) = second.iter_attachments()
    assert file.get_payload(decode=True) == b"terms"
    assert (info.state, info.attempts_made) == ("failed", 1)
    assert len(inbox.mails) == 2


def process_file(url: str, size: int, **more: str) -> str:
    given = {"name": "a.jpg", "type": "image/jpeg", **more}
    return (
        f'job = await s.files.process_file("f1", {url!r}, {given["name"]!r}, {given["type"]!r},'
        f' {size}, "ann", "p1", {{"convertTo": "pdf"}})\nsay(job.id)'
    )


async def test_uploads_from_the_scan_to_the_link(start: Start, inbox: Inbox, clamd: Clamd) -> None:
    """Clean, infected, and while the scanner is away."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", eicar())
    content = {"/a.jpg": PHOTO, "/b.png": out.getvalue()}
    hooks: list[dict[str, Any]] = []

    def answer(request: Request) -> Answer:
        if request.method == "POST":
            hooks.append(json.loads(request.body))
            return Answer()
        return Answer(body=content[request.path])

    async with serving(answer) as server:
        market = await start(
            CLAMD_ADDRESS=clamd.tcp, ALERT_EMAIL_TO="ops@example.com", ALERT_EVERY_S="0.5",
            ALERT_WEBHOOK_URL=server.url("/hook"), ALERT_WEBHOOK_SECRET="x" * 24,
        )  # fmt: skip
        await market.run(ANN)
        job_id = await market.run(process_file(server.url("/a.jpg"), len(PHOTO)))
        clean = await market.ended("file-processing", job_id)
        png = {"name": "b.png", "type": "image/png"}
        job_id = await market.run(process_file(server.url("/b.png"), len(out.getvalue()), **png))
        infected = await market.ended("file-processing", job_id)
        tree = await market.app.flows.get("file-processing", job_id).tree()
        (told,) = await mails(inbox, 1, "rejected")

        clamd.kill()
        waiting = await market.run(process_file(server.url("/a.jpg"), len(PHOTO)))
        await market.in_state("file-processing", waiting, "waiting-children")
        (child,) = (await market.app.flows.get("file-processing", waiting).tree()).children
        scan = market.app.queue("file-processing").job(child.id)
        for _ in range(4):  # it waits for seconds, then minutes, between its attempts
            await market.in_state("file-processing", scan.id, "delayed")
            await scan.promote()
        failed = await market.in_state("file-processing", scan.id, "failed")
        (alert,) = await mails(inbox, 1, "Jobs failed for good")
        await wait_until(lambda: bool(hooks), deadline_s=60, what="the webhook")
        letters = (await market.app.dead_letters().list()).letters
        clamd.start()
        answer_ = await market.ask(
            "POST", "/api/jobs/retry", {"queueName": "dead-letter", "jobId": letters[0].id}
        )
        after = await market.ended("file-processing", waiting)
        links = await market.run(
            f"""
            keys = {[one["key"] for one in clean.result["outputs"]]!r}
            say([await work.uploads.link(key) for key in keys])
            """
        )

        outputs = clean.result["outputs"]
        kinds = ["original", "optimized", "thumbnail", "thumbnail", "converted"]
        assert [one["kind"] for one in outputs] == kinds
        assert (clean.result["status"], infected.result["status"]) == ("processed", "infected")
        assert infected.result["signature"] == SIGNATURE
        assert infected.result["outputs"] == []
        assert [node.id.rpartition("-")[2] for node in tree.children] == ["virus_scan"]
        assert told["to"] == "ann@example.com"
        assert SIGNATURE in told.as_string()
        assert failed.attempts_made == 5
        assert len(letters) == 1
        assert letters[0].original_job_id == scan.id
        assert "file-processing" in str(alert["subject"])
        rules = [(one["rule"], one["queue"]) for one in hooks]
        assert rules.count(("dead_letter", "file-processing")) == 1
        assert answer_.status_code == 200, answer_.text
        assert answer_.json()["jobId"] == scan.id
        assert after.result["status"] == "processed"
        async with httpx.AsyncClient() as http:
            for one, link in zip(outputs, links, strict=True):
                path = link.replace("http://127.0.0.1:0/", f"{market.url}/")
                content_ = (await http.get(path)).content
                assert len(content_) == one["bytes"], path
                if one["kind"] != "converted":
                    with Image.open(io.BytesIO(content_)) as made:
                        assert made.size[0] <= 2000
                else:
                    assert content_.startswith(b"%PDF")


async def test_analytics_of_three_days_is_nine_rows(start: Start) -> None:
    market = await start()
    await market.run(
        """
        from datetime import UTC, datetime
        from toril.services.analytics.sql import Event
        at = datetime(2024, 1, 30, 12, tzinfo=UTC)
        await work.analytics.add(
            Event(id="1", kind="page_view", at=at, user_id="a"),
            Event(id="2", kind="page_view", at=at, user_id="b"),
            Event(id="3", kind="purchase", at=at, user_id="a", amount_minor=1000, currency="USD"),
        )
        """
    )
    program = """
        job = await s.cron.schedule_custom_analytics_aggregation(
            "daily", "2024-01-29", "2024-01-31", ["page_views", "purchases", "conversion_rate"])
        say(job.id)
        """
    rows = "say(await shop.sql('SELECT metric, start_ms, value FROM toril_figures ORDER BY 1, 2'))"
    results = []
    for _ in range(2):
        job_id = await market.run(program)
        info = await market.ended("analytics-aggregation", job_id)
        assert info.state == "completed", info.failed_reason
        results.append((info.result["rows"], await market.run(rows)))
    for kind in ("hourly", "weekly", "monthly"):
        done = await market.done("analytics-aggregation", "any-name", {"type": kind})
        assert done["type"] == kind
    scheduled = await market.done(
        "analytics-aggregation", "hourly-analytics-scheduler", {"scheduled": True}
    )

    (first, before), (second, after) = results
    assert (first, second) == (9, 9)
    assert len(before) == 9
    assert before == after
    assert [row["value"] for row in before if row["metric"] == "conversion_rate"] == [
        None,
        0.5,
        None,
    ]
    assert scheduled["type"] == "hourly"


PAYMENT = {
    "paymentId": "pay1", "orderId": "o1", "userId": "ann", "provider": "stripe",
    "amountMinor": 1999, "currency": "USD", "paymentMethodId": "pm_secret_4242",
}  # fmt: skip


async def test_declined_payment_is_charged_once_a_day_later(start: Start, inbox: Inbox) -> None:
    async with provider_server(Stripe()) as stripe:
        market = await start(
            STRIPE_SECRET_KEY=STRIPE_KEY, STRIPE_API_BASE=stripe.server.url("").rstrip("/")
        )
        await market.run(
            f"""
            {ANN}
            order = dict(id="o1", user_id="ann", product="Brushes", amount_minor=1999)
            await shop.insert("shop_orders", **order, currency="USD", state="payment_failed")
            """
        )
        stripe.decline = "insufficient_funds"
        added = f"job = await s.add_payment_retry_job(**{PAYMENT!r})\nsay(job.id)"
        job_id = await market.run(added)
        declined = (await market.ended("payment-retry", job_id)).result
        (later,) = (await market.app.queue("payment-retry").jobs("delayed")).jobs
        stored = await market.app.queue("payment-retry").job(job_id).info()
        stripe.fault = "after"  # it charges, and answers 500
        await market.app.queue("payment-retry").job(later.id).promote()
        paid = (await market.ended("payment-retry", later.id)).result
        (told,) = await mails(inbox, 1, "Payment received")
        states = await market.run("say(await shop.sql('SELECT state FROM shop_orders'))")
        stripe.decline = "stolen_card"
        final = await market.done(
            "payment-retry", "retry-payment", {**PAYMENT, "paymentId": "pay2"}
        )
        await mails(inbox, 1, "Payment failed")

    assert (declined["state"], declined["code"]) == ("declined", "insufficient_funds")
    assert later.run_at is not None
    wait_s = (later.run_at - datetime.now(UTC)).total_seconds()
    assert 86_000 < wait_s <= 86_400
    assert "pm_secret_4242" not in json.dumps([stored.data, later.data])
    assert list(stored.data["paymentMethodId"]) == ["$sealed"]
    assert paid["state"] == "succeeded"
    assert sum(stripe.charges.values()) == 1
    assert told["to"] == "ann@example.com"
    assert states == [{"state": "paid"}]
    assert final["state"] == "failed"


async def test_worker_killed_after_the_charge_charges_once(start: Start) -> None:
    async with provider_server(Stripe()) as stripe:
        market = await start(
            workers=0,
            STRIPE_SECRET_KEY=STRIPE_KEY,
            STRIPE_API_BASE=stripe.server.url("").rstrip("/"),
        )
        worker = await market.worker()
        stripe.fault = "hangs"  # it charges, and never answers
        job_id = await market.run(
            f"job = await s.add_payment_retry_job(**{PAYMENT!r})\nsay(job.id)"
        )
        await wait_until(
            lambda: sum(stripe.charges.values()) == 1, deadline_s=60, what="the charge"
        )
        worker.send_signal(signal.SIGKILL)
        await asyncio.to_thread(worker.wait)
        await market.worker()
        info = await market.ended("payment-retry", job_id)

    assert info.result["state"] == "succeeded"
    assert sum(stripe.charges.values()) == 1


async def test_twenty_commissions_of_one_order_are_one(start: Start, inbox: Inbox) -> None:
    market = await start()
    await market.run(
        f"""
        {ANN}
        await work.referrals.refer("ann", "top")
        """
    )
    data = {
        "orderId": "o1", "buyerId": "b", "referrerId": "ann", "orderAmountMinor": 999,
        "currency": "USD", "eventType": "order_paid",
    }  # fmt: skip
    jobs = [await market.add("referral-commission", f"n{n}", data) for n in range(20)]
    results = [(await market.ended("referral-commission", job)).result for job in jobs]
    (mail,) = await mails(inbox, 1, "You earned")
    rows = await market.run(
        """
        found = await shop.sql("SELECT level, amount_minor FROM toril_commissions ORDER BY level")
        sums = await shop.sql("SELECT user_id, amount_minor, earned_minor, orders"
                              " FROM toril_referral_balances ORDER BY user_id")
        say([found, sums])
        """
    )

    assert sum(one["booked"] for one in results) == 1
    assert rows[0] == [{"level": 1, "amount_minor": 99}, {"level": 2, "amount_minor": 19}]
    assert rows[1] == [
        {"user_id": "ann", "amount_minor": 99, "earned_minor": 99, "orders": 1},
        {"user_id": "top", "amount_minor": 19, "earned_minor": 19, "orders": 1},
    ]
    assert str(mail["subject"]) == "You earned 0.99 USD"
    assert len(inbox.mails) == 1


async def test_report_of_the_day_in_three_formats(start: Start, inbox: Inbox) -> None:
    market = await start()
    await market.run(
        """
        at = 1795824000000  # 2026-11-28, midnight
        order = dict(user_id="ann", product="Brushes", amount_minor=1999, currency="USD")
        for n in range(3):
            await shop.insert("shop_orders", **order, id=f"o{n}", state="paid",
                              created_ms=at + n * 3600000)
        await shop.insert("shop_orders", **order, id="o9", state="refunded", created_ms=at)
        """
    )
    result = await market.done("daily-reports", "daily", {"date": "2026-11-28"})
    week = await market.done(
        "weekly-reports", "weekly", {"weekStart": "2026-11-23", "formats": ["json"]}
    )
    (mail, _) = await mails(inbox, 2, "is ready")
    key = result["files"][2]["key"]
    content = await market.run(
        f"""
        stream = await services.objects.get({key!r})
        say(json.loads(await stream.read(10**6)))
        """
    )

    assert [one["format"] for one in result["files"]] == ["pdf", "csv", "json"]
    figures = {one["name"]: one["value"] for one in content["figures"]}
    assert figures["orders"] == 4
    assert figures["revenue_USD"] == "59.97"
    assert figures["refunds"] == 1
    assert [point["value"] for point in content["series"][0]["points"][:4]] == [2, 1, 1, 0]
    assert content["tables"][0]["rows"] == [["Brushes", 3, "59.97", "USD"]]
    assert [row[0] for row in content["tables"][1]["rows"]] == QUEUES
    assert week["start"] == "2026-11-23"
    assert "28 November 2026" in str(mail["subject"])


async def test_schedules_by_rest(start: Start) -> None:
    market = await start(workers=0)

    def put(**body: Any) -> Any:
        return market.ask("POST", "/api/jobs/schedule", body)

    hourly = {"queueName": "analytics-aggregation", "name": "berlin", "cron": "0 * * * *"}
    good = await put(**hourly, timezone="Europe/Berlin", data={"type": "hourly"})
    again = await put(**hourly, timezone="Europe/Berlin", data={"type": "daily"})
    defaults = await put(type="defaults")
    empty = await market.ask("POST", "/api/jobs/schedule")
    zone = await put(**hourly, timezone="Europe/Berlln", data={"type": "hourly"})
    bad = {**hourly, "cron": "61 * * * *"}
    cron = await put(**bad, data={"type": "hourly"})
    queue = await put(**{**hourly, "queueName": "analitics"})
    payload = await put(**hourly, data={"type": "yearly"})
    found = await market.app.schedules.get("berlin")

    assert good.status_code == again.status_code == 200, good.text
    assert good.json()["scheduleId"] == "berlin"
    assert datetime.fromisoformat(good.json()["nextRun"]) > datetime.now(UTC)
    assert {one["scheduleId"] for one in defaults.json()["schedules"]} == {
        "daily-report", "weekly-report", "hourly-analytics", "daily-analytics", "weekly-analytics",
        "monthly-analytics",
    }  # fmt: skip
    assert empty.json()["success"] is True
    assert (zone.status_code, zone.json()["error"]["field"]) == (422, "timezone")
    assert (cron.status_code, cron.json()["error"]["field"]) == (422, "cron")
    assert "61" in cron.json()["error"]["message"]
    assert (queue.status_code, queue.json()["error"]["allowed"]) == (404, QUEUES)
    assert payload.status_code == 422
    assert found is not None
    assert (found.timezone, found.data) == ("Europe/Berlin", {"type": "daily"})


async def test_long_queue_is_told_and_so_is_its_end(start: Start, inbox: Inbox) -> None:
    market = await start(workers=1, ALERT_EVERY_S="0.5", ALERT_RECOVERY_S="1")
    queue = market.app.queue("analytics-aggregation")
    await queue.pause()
    jobs: list[Any] = [("a", {"type": "hourly"})] * 1001
    await queue.add_many(jobs)

    (raised,) = await mails(inbox, 1, "Queue is long")
    cleared = await market.ask("DELETE", "/api/jobs/queues/analytics-aggregation", status="waiting")
    (recovered,) = await mails(inbox, 1, "Recovered: Queue is long")

    assert "analytics-aggregation" in str(raised["subject"])
    assert cleared.json()["removed"] == 1001
    assert "analytics-aggregation" in str(recovered["subject"])


async def test_clearing_counts_and_the_audit_log_names_who(start: Start, inbox: Inbox) -> None:
    market = await start()
    for n in range(3):
        await market.done("email-sending", "send-email", {**MAIL, "to": f"u{n}@example.com"})
    lost = await market.add("email-sending", "send-email", {"to": "nobody", **MAIL})
    await market.ended("email-sending", lost)
    path = "/api/jobs/queues/email-sending"

    shown = (await market.ask("GET", path, status="completed")).json()
    page = (await market.ask("GET", path, start=1, end=2)).json()
    failed = (await market.ask("GET", path, status="failed")).json()["jobs"]
    unconfirmed = await market.ask("DELETE", path, status="all")
    wrong = await market.ask("DELETE", path, status="done")
    missing = await market.ask(
        "POST", "/api/jobs/retry", {"queueName": "email-sending", "jobId": "no"}
    )
    not_failed = await market.ask(
        "POST", "/api/jobs/retry", {"queueName": "email-sending", "jobId": shown["jobs"][0]["id"]}
    )
    retried = await market.ask(
        "POST", "/api/jobs/retry", {"queueName": "email-sending", "jobId": lost}
    )
    cleared = await market.ask("DELETE", path, status="completed")
    everything = await market.ask("DELETE", path, status="all", confirm="email-sending")
    audit = (await market.ask("GET", "/api/toril/audit")).json()["items"]

    assert len(shown["jobs"]) == shown["counts"]["completed"] == 3
    assert len(page["jobs"]) == 2
    assert [job["id"] for job in failed] == [lost]
    assert "to" in failed[0]["failedReason"]
    assert (unconfirmed.status_code, unconfirmed.json()["error"]["field"]) == (422, "confirm")
    assert (wrong.status_code, missing.status_code, not_failed.status_code) == (422, 404, 409)
    assert retried.json()["jobId"] == lost
    assert cleared.json()["removed"] == 3
    assert everything.status_code == 200
    verbs = {one["verb"] for one in audit if one["actor"].startswith("key:")}
    assert {"retry", "clean"} <= verbs


async def test_viewers_look_and_change_nothing(start: Start) -> None:
    market = await start(workers=0)
    made = await market.ask("POST", "/api/toril/keys", {"name": "viewer", "role": "viewer"})
    key = made.json()["key"]

    looked = await market.ask("GET", "/api/jobs/stats", key=key)
    figures = await market.ask("GET", "/metrics", key=key)
    refused = [
        await market.ask("DELETE", "/api/jobs/queues/email-sending", key=key),
        await market.ask(
            "POST", "/api/jobs/retry", {"queueName": "dead-letter", "jobId": "1"}, key=key
        ),
        await market.ask("POST", "/api/jobs/schedule", {"type": "defaults"}, key=key),
    ]
    nobody = await market.ask("GET", "/metrics", key=None)

    assert looked.status_code == 200
    assert "toril_queue_jobs{" in figures.text
    assert [one.status_code for one in refused] == [403, 403, 403]
    assert nobody.status_code == 401
    assert ADMIN not in market.log("api")
