"""Mail: by a real SMTP server, into a folder, into memory."""

from __future__ import annotations

import email
import email.policy
import stat
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
from tests.support.http_server import serving
from tests.support.smtp_server import receiving

from toril import InvalidOptionError
from toril.services.mail.folder import FolderMailer
from toril.services.mail.memory import MemoryMailer
from toril.services.mail.port import Attachment, Mail, Mailer, MailError, MailRefusedError
from toril.services.mail.smtp import SmtpMailer

MAIL = Mail(
    to=["Jo Ü <jo@example.com>", "al@example.com"],
    subject="Grüße aus Köln",
    text="Guten Tag\nZeile 2 mit 😀\n.\nEnde",
    html="<p>Guten <b>Tag</b></p>",
    sender="Shop <shop@example.com>",
    reply_to="help@example.com",
    message_id="order-17",
    headers={"X-Mine": "yes"},
    attachments=[Attachment(filename="Größe.txt", content=b"\x00\xff", content_type="text/x-odd")],
)


def check(message: EmailMessage) -> None:
    assert message["subject"] == "Grüße aus Köln"
    assert message["from"] == "Shop <shop@example.com>"
    assert message["to"] == "Jo Ü <jo@example.com>, al@example.com"
    assert message["reply-to"] == "help@example.com"
    assert message["message-id"] == "<order-17@example.com>"
    assert message["x-mine"] == "yes"
    assert message["date"] is not None
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().strip().splitlines() == MAIL.text.splitlines()
    assert html.get_content().strip() == MAIL.html
    (file,) = message.iter_attachments()
    assert (file.get_filename(), file.get_content_type()) == ("Größe.txt", "text/x-odd")
    assert file.get_payload(decode=True) == b"\x00\xff"


async def test_mail_arrives_whole_by_smtp() -> None:
    with receiving() as inbox:
        receipt = await SmtpMailer(inbox.url).send(MAIL)

    assert receipt.message_id == "<order-17@example.com>"
    assert receipt.refused == {}
    (message,) = inbox.mails
    check(message)
    assert inbox.to == [["jo@example.com", "al@example.com"]]


async def test_mail_is_a_file_that_mail_programs_open(tmp_path: Path) -> None:
    await FolderMailer(tmp_path / "out").send(MAIL)

    (file,) = (tmp_path / "out").iterdir()
    assert file.suffix == ".eml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    check(message)


async def test_mailers_fulfil_the_port(tmp_path: Path) -> None:
    with receiving() as inbox:
        mailers: list[Mailer] = [SmtpMailer(inbox.url), FolderMailer(tmp_path), MemoryMailer()]
        for mailer in mailers:
            first = await mailer.send(Mail(to=["jo@example.com"], subject="s", text="t"))
            second = await mailer.send(Mail(to=["jo@example.com"], subject="s", text="t"))
            assert first.message_id != second.message_id
    memory = mailers[2]
    assert isinstance(memory, MemoryMailer)
    assert [one.subject for one in memory.sent] == ["s", "s"]


async def test_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MailError, match="file"):
        await FolderMailer(tmp_path / "file").send(MAIL)


async def test_refusals_are_for_good_or_for_now() -> None:
    with receiving() as inbox:
        mailer = SmtpMailer(inbox.url)
        inbox.refused = {"jo@example.com": "550 no such user"}
        receipt = await mailer.send(MAIL)
        assert {who: str(why) for who, why in receipt.refused.items()} == {
            "Jo Ü <jo@example.com>": "550 no such user"
        }
        assert receipt.accepted == ["al@example.com"]

        only = Mail(to=["jo@example.com"], subject="s", text="t")
        with pytest.raises(MailRefusedError, match=r"jo@example.com: 550 no such user"):
            await mailer.send(only)
        inbox.refused = {"jo@example.com": "451 busy"}
        with pytest.raises(MailError) as failed:
            await mailer.send(only)
        assert not isinstance(failed.value, MailRefusedError)
        inbox.refused = {}
        inbox.answer = "554 too much"
        with pytest.raises(MailRefusedError, match="554 too much"):
            await mailer.send(only)
        inbox.answer = "452 no room"
        with pytest.raises(MailError, match="452 no room") as failed:
            await mailer.send(only)
        assert not isinstance(failed.value, MailRefusedError)


async def test_password_is_given_and_never_shown() -> None:
    with receiving(password="hunter2") as inbox:
        place = inbox.url.removeprefix("smtp://")
        good = SmtpMailer(f"smtp://shop%40example.com:hunter2@{place}")
        await good.send(Mail(to=["jo@example.com"], subject="s", text="t"))
        assert good.sender == "shop@example.com"
        assert inbox.logins == [(b"shop@example.com", b"hunter2")]
        bad = SmtpMailer(f"smtp://shop:hunter3@{place}")
        with pytest.raises(MailRefusedError, match="535") as failed:
            await bad.send(Mail(to=["jo@example.com"], subject="s", text="t"))

    for text in (repr(good), repr(bad), str(failed.value)):
        assert "hunter" not in text


async def test_password_is_not_sent_without_tls_to_another_machine() -> None:
    with receiving() as inbox:
        port = inbox.url.rpartition(":")[2]
        mailer = SmtpMailer(f"smtp://shop:hunter2@127.0.0.2.nip.invalid:{port}")
        assert mailer._server.tls == "require"
        mailer._server = replace(mailer._server, host="127.0.0.1")
        with pytest.raises(MailError, match=r"STARTTLS|TLS"):
            await mailer.send(MAIL)

    assert inbox.logins == []
    assert inbox.mails == []


async def test_server_that_is_not_there_or_hangs_is_an_error_for_now() -> None:
    with receiving() as inbox:
        url = inbox.url
    with pytest.raises(MailError, match=r"mail server 127.0.0.1:\d+: ") as failed:
        await SmtpMailer(url).send(MAIL)
    assert not isinstance(failed.value, MailRefusedError)

    async with serving() as silent:  # it waits for a request, and says nothing
        with pytest.raises(MailError) as failed:
            await SmtpMailer(f"smtp://127.0.0.1:{silent.port}", timeout_s=0.3).send(MAIL)
    assert not isinstance(failed.value, MailRefusedError)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"to": []}, "to="),
        ({"to": "jo@example.com"}, "to="),
        ({"to": ["jo"]}, "to='jo'"),
        ({"to": ["jo@example.com\nBcc: all@example.com"]}, "to="),
        ({"subject": "a\r\nBcc: all@example.com"}, "subject="),
        ({"sender": "nobody"}, "sender="),
        ({"headers": {"X": "a\nb"}}, "headers="),
        ({"headers": {"X y": "a"}}, "headers="),
    ],
)
def test_mail_that_makes_no_sense_is_refused(fields: dict[str, object], problem: str) -> None:
    good: dict[str, object] = {"to": ["jo@example.com"], "subject": "s", "text": "t"}
    with pytest.raises(InvalidOptionError) as refused:
        Mail(**{**good, **fields})  # type: ignore[arg-type]
    assert str(refused.value).startswith(problem)


@pytest.mark.parametrize(
    "url", ["mail.example.com", "http://x", "smtp://", "smtp://x?tls=maybe", "smtp://x?a=b",
            "smtp://jo:hunter2@x:99999"],
)  # fmt: skip
def test_url_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(InvalidOptionError) as refused:
        SmtpMailer(url)
    assert "hunter2" not in str(refused.value)
