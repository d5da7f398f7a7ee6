"""The e-mail tasks on both stores, with a mail server in a process of its own."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.email_worker import make_app, settings, start_worker
from tests.support.http_server import Answer, serving
from tests.support.smtp_process import SmtpProcess, smtp_process
from tests.support.waiting import wait_until

from toril import App, InvalidPayloadError, JobFailedError
from toril.library.email import EmailService, EmailSettings
from toril.library.email.unsubscribing import read_token


@pytest.fixture
def smtp(tmp_path: Path) -> Iterator[SmtpProcess]:
    with smtp_process(tmp_path / "smtp") as server:
        yield server


@pytest.fixture
def wanted(smtp: SmtpProcess, tmp_path: Path) -> EmailSettings:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "terms.txt").write_text("terms")
    return replace(settings(smtp.url, tmp_path), attachment_root=tmp_path / "files")


@pytest.fixture
async def service(wanted: EmailSettings) -> AsyncIterator[EmailService]:
    made = EmailService(wanted)
    yield made
    await made.close()


@pytest.fixture
async def app(url: str, service: EmailService) -> AsyncIterator[App]:
    made = make_app(url, service)
    yield made
    await made.close()


async def run(app: App, task: str, **payload: Any) -> Any:
    job = await app.find_task(task).enqueue(**payload)
    await app.worker(concurrency=4).run(until_idle=True)
    return await job.result()


async def failure(app: App, task: str, **payload: Any) -> str:
    with pytest.raises(JobFailedError) as failed:
        await run(app, task, **payload)
    return str(failed.value)


async def test_mail_of_a_template_reaches_each_receiver(app: App, smtp: SmtpProcess) -> None:
    result = await run(
        app, "email.send", to=["Jo <jo@example.com>", "al@example.com", "JO@example.com"],
        template="welcome", variables={"name": "Jo & Al"}, reply_to="help@example.com",
    )  # fmt: skip

    assert result.accepted == ["Jo <jo@example.com>", "al@example.com"]
    assert result.rejected == []
    assert smtp.served() == ["jo@example.com", "al@example.com"]
    first, second = smtp.mails()
    assert first["to"] == second["to"] == "Jo <jo@example.com>, al@example.com"
    assert first["message-id"] == second["message-id"] == result.message_id
    assert (first["from"], first["reply-to"]) == ("Shop <shop@example.com>", "help@example.com")
    assert first["subject"] == "Welcome, Jo & Al"
    html, text = first.get_body(("html",)), first.get_body(("plain",))
    assert html is not None
    assert text is not None
    assert "Jo &amp; Al" in html.get_content()
    assert "Jo & Al" in text.get_content()


async def test_text_is_made_of_html_and_files_go_along(app: App, smtp: SmtpProcess) -> None:
    await run(
        app, "email.send", to="jo@example.com", subject="Hi", html="<p>One</p><p>Two</p>",
        attachments=[{"filename": "Terms.txt", "path": "terms.txt"}],
    )  # fmt: skip

    (mail,) = smtp.mails()
    text = mail.get_body(("plain",))
    assert text is not None
    assert text.get_content().split() == ["One", "Two"]
    (file,) = mail.iter_attachments()
    assert (file.get_filename(), file.get_content_type()) == ("Terms.txt", "text/plain")
    assert file.get_payload(decode=True) == b"terms"


async def test_attachment_is_fetched_within_limits(
    url: str, wanted: EmailSettings, smtp: SmtpProcess
) -> None:
    def answer(request: Any) -> Answer:
        return {
            "/ok.pdf": Answer(body=b"x" * 900),
            "/large": Answer(body=b"x" * 1001),
        }.get(request.path, Answer(status=404))

    async with serving(answer) as server:
        allowed = replace(wanted, egress_allow=("127.0.0.1",), max_attachment_bytes=1000)
        service = EmailService(allowed)
        app = make_app(url, service)
        mail = {"to": "jo@example.com", "subject": "s", "text": "t"}

        def files(*paths: str) -> list[dict[str, str]]:
            return [{"filename": "a.pdf", "url": server.url(path)} for path in paths]

        await run(app, "email.send", **mail, attachments=files("/ok.pdf"))
        said = await failure(app, "email.send", **mail, attachments=files("/large"))
        assert "max_attachment_bytes" in said
        said = await failure(app, "email.send", **mail, attachments=files("/ok.pdf", "/ok.pdf"))
        assert "max_attachment_bytes" in said
        assert "404" in await failure(app, "email.send", **mail, attachments=files("/none"))
        await app.close()
        await service.close()

        inside = EmailService(wanted)
        app = make_app(url, inside)
        said = await failure(app, "email.send", **mail, attachments=files("/ok.pdf"))
        assert "TORIL_EGRESS_ALLOW" in said
        await app.close()
        await inside.close()
    (one,) = smtp.mails()
    (file,) = one.iter_attachments()
    assert (file.get_content_type(), file.get_payload(decode=True)) == (
        "application/pdf", b"x" * 900,
    )  # fmt: skip


@pytest.mark.parametrize(("payload", "said"), [
    ({"to": "x"}, "to='x': expected an address"),
    ({"to": []}, "expected at least one address"),
    ({"to": "a@b.example\r\nBcc: eve@example.com"}, "to="),
    ({"subject": "a\r\nBcc: eve@example.com"}, "subject="),
    ({"subject": None}, "subject: it is missing"),
    ({"text": None}, "body: it is missing"),
    ({"template": "welcome"}, "expected no html and no text beside it"),
    ({"template": "welcom", "text": None}, "did you mean 'welcome'"),
    ({"template": "password_reset", "text": None}, "variable 'url' is missing"),
    ({"to": [f"u{i}@example.com" for i in range(101)]}, "email.send_bulk"),
    ({"attachments": [{"filename": "a", "path": "../../etc/passwd"}]}, "path not allowed"),
    ({"attachments": [{"filename": "a", "path": "none.txt"}]}, "there is no file"),
    ({"attachments": [{"filename": "a"}]}, "expected one of path and url"),
    ({"attachments": [{"filename": "a\r\nX: y", "path": "terms.txt"}]}, "filename="),
    ({"attachments": [{"filename": "a", "url": "file:///etc/passwd"}]}, "http"),
    ({"attachments": [{"filename": "a", "path": "terms.txt"}] * 21}, "max_attachments"),
])  # fmt: skip
async def test_mail_that_will_never_work_fails_at_once(
    payload: dict[str, Any], said: str, app: App, smtp: SmtpProcess
) -> None:
    full = {"to": "jo@example.com", "subject": "s", "text": "t", **payload}
    job = await app.find_task("email.send").enqueue(**full)
    await app.worker().run(until_idle=True)

    info = await job.info()
    assert (info.state, info.attempts_made) == ("failed", 1)
    assert said in str(info.failed_reason)
    assert smtp.events() == []


async def test_address_in_a_list_is_refused_at_the_door(app: App) -> None:
    with pytest.raises(InvalidPayloadError, match="to"):
        await app.find_task("email.send").enqueue(to=["x"], subject="s", text="t")


async def test_refused_receivers_do_not_keep_others_from_their_mail(
    app: App, smtp: SmtpProcess, service: EmailService
) -> None:
    result = await run(
        app, "email.send", to=["jo@example.com", "550-gone@example.com", "spam-al@example.com"],
        subject="s", text="t",
    )  # fmt: skip

    assert result.accepted == ["jo@example.com"]
    assert result.rejected == ["550-gone@example.com", "spam-al@example.com"]
    assert result.reasons == {
        "550-gone@example.com": "550 5.1.1 no such user",
        "spam-al@example.com": "554 5.7.1 looks like spam",
    }
    known = await service.suppressions.find(["550-gone@example.com", "spam-al@example.com"])
    assert list(known) == ["550-gone@example.com"]
    said = await failure(app, "email.send", to="550-gone@example.com", subject="s", text="t")
    assert "nobody got the mail: 550-gone@example.com: 550 5.1.1 no such user" in said


async def test_retry_goes_to_those_only_who_were_not_served(app: App, smtp: SmtpProcess) -> None:
    job = await app.find_task("email.send").enqueue(
        to=["jo@example.com", "451-al@example.com", "hangup-di@example.com", "ed@example.com"],
        subject="s", text="t",
    )  # fmt: skip
    await app.worker().run(until_idle=True)
    info = await job.info()
    assert info.state == "delayed"
    assert "451-al@example.com: 451 4.2.2 later" in str(info.failed_reason)
    smtp.forgive()
    await job.promote()
    await app.worker().run(until_idle=True)

    result = await job.result()
    assert result.accepted == [
        "jo@example.com", "451-al@example.com", "hangup-di@example.com", "ed@example.com",
    ]  # fmt: skip
    assert Counter(smtp.served()) == {
        "jo@example.com": 1, "451-al@example.com": 1, "hangup-di@example.com": 2,
        "ed@example.com": 1,
    }  # fmt: skip
    assert {str(mail["message-id"]) for mail in smtp.mails()} == {result.message_id}


async def test_answer_that_is_lost_twice_is_not_tried_a_third_time(
    app: App, smtp: SmtpProcess
) -> None:
    job = await app.find_task("email.send").enqueue(
        to=["hangup-jo@example.com", "al@example.com"], subject="s", text="t"
    )
    for _ in range(2):
        await app.worker().run(until_idle=True)
        if (await job.info()).state == "delayed":
            await job.promote()
    await app.worker().run(until_idle=True)

    result = await job.result()
    assert (result.accepted, result.unknown) == (["al@example.com"], ["hangup-jo@example.com"])
    assert "lost twice" in result.reasons["hangup-jo@example.com"]
    assert smtp.served() == ["hangup-jo@example.com"] * 2 + ["al@example.com"]


async def test_server_that_is_away_is_waited_for(url: str, tmp_path: Path) -> None:
    service = EmailService(settings("smtp://127.0.0.1:9", tmp_path))
    app = make_app(url, service)
    job = await app.find_task("email.send").enqueue(to="jo@example.com", subject="s", text="t")
    await app.worker().run(until_idle=True)

    info = await job.info()
    assert info.state == "delayed"
    assert "mail server 127.0.0.1:9" in str(info.failed_reason)
    assert info.data["torilDelivery"]["marks"] == "w"
    await app.close()
    await service.close()


async def test_bulk_mail_is_personal_and_may_be_unsubscribed(
    app: App, smtp: SmtpProcess, service: EmailService
) -> None:
    await service.suppressions.add("no@example.com", "unsubscribed")
    people = [{"to": f"u{i}@example.com", "data": {"name": f"N{i}"}} for i in range(5)]
    odd = [{"to": "550-x@example.com"}, {"to": "NO@example.com"}, {"to": "u1@EXAMPLE.com"}]
    result = await run(
        app, "email.send_bulk", template="welcome", recipients=people + odd, campaign_id="may-2026"
    )

    assert result.accepted == [f"u{i}@example.com" for i in range(5)]
    assert (result.rejected, result.suppressed) == (["550-x@example.com"], ["NO@example.com"])
    assert list(await service.suppressions.find(["550-x@example.com"])) == ["550-x@example.com"]
    for number, mail in enumerate(smtp.mails()):
        assert mail["to"] == f"u{number}@example.com"
        assert mail["subject"] == f"Welcome, N{number}"
        assert mail["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
        assert mail["x-campaign-id"] == "may-2026"
        link = str(mail["list-unsubscribe"]).strip("<>")
        token = link.partition("?t=")[2]
        key = service.settings.unsubscribe_key or ""
        assert read_token(token, key=key) == f"u{number}@example.com"
        assert read_token(token[:-2] + "AA", key=key) is None
        assert read_token(token + "=", key=key) is None
        assert read_token(token, key="another key of nobody") is None
        text = mail.get_body(("plain",))
        assert text is not None
        assert link in text.get_content().replace("\n", "")
    assert len({str(mail["message-id"]) for mail in smtp.mails()}) == 5


async def test_bulk_receiver_without_a_variable_costs_nobody_else(
    app: App, smtp: SmtpProcess
) -> None:
    link = {"url": "https://shop.example.com/r"}
    result = await run(
        app, "email.send_bulk", template="password_reset",
        recipients=[{"to": "a@example.com", "data": link}, {"to": "b@example.com"},
                    {"to": "c@example.com", "data": link}],
    )  # fmt: skip

    assert result.accepted == ["a@example.com", "c@example.com"]
    assert "variable 'url' is missing" in result.reasons["b@example.com"]


async def test_large_bulk_job_becomes_jobs_of_100(app: App, smtp: SmtpProcess) -> None:
    people = [{"to": f"u{i}@example.com"} for i in range(205)]
    result = await run(app, "email.send_bulk", template="welcome", recipients=people)

    assert (result.jobs, result.accepted) == (3, [])
    assert Counter(smtp.served()) == Counter({f"u{i}@example.com": 1 for i in range(205)})


async def test_bulk_mail_without_a_link_to_unsubscribe_is_refused(
    url: str, wanted: EmailSettings, smtp: SmtpProcess
) -> None:
    service = EmailService(replace(wanted, unsubscribe_url=None))
    app = make_app(url, service)
    said = await failure(
        app, "email.send_bulk", template="welcome", recipients=[{"to": "jo@example.com"}]
    )

    assert "EMAIL_UNSUBSCRIBE_URL is not set" in said
    assert smtp.events() == []
    await app.close()
    await service.close()


@pytest.fixture
def start(
    url: str, smtp: SmtpProcess, tmp_path: Path
) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start a worker in a process of its own; none outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start_one() -> subprocess.Popen[bytes]:
        started.append(start_worker(url, smtp.url, tmp_path))
        return started[-1]

    yield start_one
    for each in started:
        each.kill()
        each.wait()


async def test_killed_worker_leaves_at_most_one_receiver_served_twice(
    start: Callable[[], subprocess.Popen[bytes]], smtp: SmtpProcess, app: App
) -> None:
    people = [f"u{i}@example.com" for i in range(30)]
    people[5], people[17] = "slow-5@example.com", "slow-17@example.com"
    bulk = await app.find_task("email.send_bulk").enqueue(
        template="welcome", recipients=[{"to": each} for each in people]
    )
    worker = start()
    # The server has the mail and does not answer: the worst moment to die.
    await wait_until(lambda: people[5] in smtp.served(), deadline_s=40, what=people[5])
    worker.kill()
    worker.wait()
    (smtp.folder / "go").touch()
    worker = start()
    await wait_until(lambda: people[6] in smtp.served(), deadline_s=40, what=people[6])
    (smtp.folder / "go").unlink()
    worker.kill()  # anywhere, or at the next one that is held
    worker.wait()
    before = smtp.served()
    (smtp.folder / "go").touch()
    start()
    result = await bulk.result(timeout_s=40)

    assert sorted(result.accepted) == sorted(people)
    again = {each: count for each, count in Counter(smtp.served()).items() if count > 1}
    assert again.pop(people[5]) == 2
    # The second death was anywhere: at most the receiver who was served last.
    assert again in ({}, {before[-1]: 2})
    by_receiver = {str(mail["to"]): set() for mail in smtp.mails()}  # type: ignore[var-annotated]
    for mail in smtp.mails():
        by_receiver[str(mail["to"])].add(str(mail["message-id"]))
    assert all(len(ids) == 1 for ids in by_receiver.values())
