"""The promises of the port `Mailer`, kept by every adapter."""

from __future__ import annotations

import email
import email.policy
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest
from tests.support.sendgrid import KEY, sendgrid
from tests.support.smtp_process import SmtpProcess

from toril.core.errors import InvalidOptionError
from toril.services.http.aio import AioHttpClient
from toril.services.http.egress import EgressPolicy
from toril.services.mail.folder import FolderMailer
from toril.services.mail.memory import MemoryMailer
from toril.services.mail.port import (
    Attachment,
    Mail,
    Mailer,
    MailError,
    MailRefusedError,
    Refusal,
)
from toril.services.mail.sendgrid import SendGridMailer
from toril.services.mail.smtp import SmtpMailer

SENDER = "Shop <shop@example.com>"


@dataclass
class Adapter:
    mailer: Mailer
    arrived: Callable[[], list[dict[str, object]]]
    """Of each mail: `to` (who got it), `subject`, `text`, `html`, `id`, `headers`, `files`."""


def facts(message: EmailMessage, to: list[str]) -> dict[str, object]:
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    return {
        "to": to,
        "shown": str(message["to"]),
        "subject": str(message["subject"]),
        "text": "" if text is None else text.get_content().strip(),
        "html": None if html is None else html.get_content().strip(),
        "id": str(message["message-id"]),
        "unsubscribe": message["list-unsubscribe"],
        "files": [(file.get_filename(), file.get_payload(decode=True))
                  for file in message.iter_attachments()],
    }  # fmt: skip


def parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


# A folder takes everything; SendGrid answers for all receivers of a mail together.
refusing = pytest.mark.parametrize("adapter", ["smtp", "memory", "sendgrid"], indirect=True)
refusing_some = pytest.mark.parametrize("adapter", ["smtp", "memory"], indirect=True)


@pytest.fixture(params=["smtp", "folder", "memory", "sendgrid"])
async def adapter(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Adapter]:
    match request.param:
        case "smtp":
            server: SmtpProcess = request.getfixturevalue("smtp")
            smtp = SmtpMailer(server.url, sender=SENDER)
            yield Adapter(smtp, lambda: [
                facts(message, to)
                for message, to in zip(server.mails(), server.deliveries(), strict=True)
            ])  # fmt: skip
            await smtp.close()
        case "folder":
            folder = tmp_path / "out"

            def files() -> list[dict[str, object]]:
                raw = [parsed(file.read_bytes()) for file in sorted(folder.glob("*.eml"))]
                return [facts(each, str(each["to"]).split(", ")) for each in raw]

            yield Adapter(FolderMailer(folder, sender=SENDER), files)
        case "memory":
            memory = MemoryMailer(sender=SENDER)
            memory.refusing = {
                "550-gone@example.com": Refusal(550, "5.1.1 no such user"),
                "451-later@example.com": Refusal(451, "4.2.2 later"),
            }
            yield Adapter(memory, lambda: [
                facts(parsed(raw), [each for each in mail.receivers if each not in memory.refusing])
                for raw, mail in zip(memory.written, memory.sent, strict=True)
            ])  # fmt: skip
        case "sendgrid":
            async with sendgrid() as fake:
                http = AioHttpClient(EgressPolicy(["127.0.0.1"]))
                by_http = SendGridMailer(KEY, http, sender=SENDER, url=fake.server.url(""))

                def taken() -> list[dict[str, object]]:
                    import base64

                    return [
                        {
                            "to": [each["email"] for each in one["personalizations"][0]["to"]],
                            "subject": one["subject"],
                            "text": one["content"][0]["value"],
                            "html": (one["content"][1:] or [{"value": None}])[0]["value"],
                            "id": one["headers"].get("Message-ID"),
                            "unsubscribe": one["headers"].get("List-Unsubscribe"),
                            "files": [(file["filename"], base64.b64decode(file["content"]))
                                      for file in one.get("attachments", [])],
                        }
                        for one in fake.taken
                    ]  # fmt: skip

                yield Adapter(by_http, taken)
                await by_http.close()
                await http.close()


def mail(*to: str, **more: object) -> Mail:
    fields: dict[str, object] = {"subject": "Grüße", "text": "Zeile\n.\nEnde 😀", **more}
    return Mail(to=to or ("jo@example.com",), message_id="order-1", **fields)  # type: ignore[arg-type]


async def test_mail_arrives_whole(adapter: Adapter) -> None:
    receipt = await adapter.mailer.send(
        mail(
            "jo@example.com",
            "al@example.com",
            html="<p>Grüße</p>",
            headers={"List-Unsubscribe": "<https://shop.example.com/u>"},
            attachments=[Attachment(filename="Größe.bin", content=bytes(range(256)) * 40)],
        )
    )

    (one,) = adapter.arrived()
    assert receipt.message_id == "<order-1@example.com>" == one["id"]
    assert list(receipt.accepted) == ["jo@example.com", "al@example.com"] == one["to"]
    assert receipt.refused == {}
    assert (one["subject"], one["html"]) == ("Grüße", "<p>Grüße</p>")
    assert str(one["text"]).splitlines() == ["Zeile", ".", "Ende 😀"]
    assert one["unsubscribe"] == "<https://shop.example.com/u>"
    assert one["files"] == [("Größe.bin", bytes(range(256)) * 40)]


async def test_copy_goes_to_its_own_receivers_only(adapter: Adapter) -> None:
    first = mail("jo@example.com", "al@example.com", html="<p>x</p>")
    if isinstance(adapter.mailer, FolderMailer):
        second = first.addressed(to=["al@example.com"])
    else:
        second = first.addressed(only_to=["al@example.com"])

    await adapter.mailer.send(second)

    (one,) = adapter.arrived()
    assert one["to"] == ["al@example.com"]


async def test_same_mail_sent_again_has_the_same_id(adapter: Adapter) -> None:
    first = await adapter.mailer.send(mail())
    second = await adapter.mailer.send(mail())
    third = await adapter.mailer.send(Mail(to=["jo@example.com"], subject="s", text="t",
                                           headers={"X-A": "b"}))  # fmt: skip

    assert first.message_id == second.message_id
    assert third.message_id not in ("", "<>", first.message_id)


@refusing
async def test_mail_refused_for_good_for_all_is_an_error_that_says_so(adapter: Adapter) -> None:
    with pytest.raises(MailRefusedError) as refused:
        await adapter.mailer.send(mail("550-gone@example.com"))

    assert refused.value.refusals["550-gone@example.com"].for_good
    assert adapter.arrived() == []


@refusing
async def test_mail_refused_for_now_is_an_error_for_now(adapter: Adapter) -> None:
    with pytest.raises(MailError) as refused:
        await adapter.mailer.send(mail("451-later@example.com"))

    assert not isinstance(refused.value, MailRefusedError)
    assert adapter.arrived() == []


@refusing_some
async def test_receivers_are_refused_one_by_one(adapter: Adapter) -> None:
    receipt = await adapter.mailer.send(
        mail("jo@example.com", "550-gone@example.com", "451-later@example.com")
    )

    assert list(receipt.accepted) == ["jo@example.com"]
    assert {who: (why.code, why.for_good) for who, why in receipt.refused.items()} == {
        "550-gone@example.com": (550, True),
        "451-later@example.com": (451, False),
    }
    (one,) = adapter.arrived()
    assert one["to"] == ["jo@example.com"]


async def test_mailer_may_be_used_after_it_was_closed(adapter: Adapter) -> None:
    await adapter.mailer.send(mail())
    await adapter.mailer.close()
    await adapter.mailer.send(mail())

    assert len(adapter.arrived()) == 2


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"only_to": ["eve@example.com"]}, "only_to='eve@example.com'"),
        ({"only_to": []}, "only_to="),
        ({"message_id": "a>\r\nBcc: x"}, "message_id="),
        ({"message_id": "a@b"}, "message_id="),
        ({"headers": {"Bcc": "eve@example.com"}}, "headers='Bcc'"),
        ({"headers": {"content-type": "x"}}, "headers='content-type'"),
        ({"subject": "a\u2028Bcc: eve@example.com"}, "subject="),
        ({"reply_to": "a@b.c\r\nBcc: eve@example.com"}, "reply_to="),
        ({"to": [f"{'a' * 250}@example.com"]}, "to="),
    ],
)
def test_mail_that_could_break_a_header_is_refused(fields: dict[str, object], problem: str) -> None:
    good: dict[str, object] = {"to": ["jo@example.com"], "subject": "s", "text": "t"}
    with pytest.raises(InvalidOptionError) as refused:
        Mail(**{**good, **fields})  # type: ignore[arg-type]

    assert str(refused.value).startswith(problem)
