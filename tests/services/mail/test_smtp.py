"""SMTP against a server in a process of its own: connections, TLS, passwords, lost answers."""

from __future__ import annotations

import asyncio
import gc
import warnings
from pathlib import Path

import pytest
from tests.support.smtp_process import PASSWORD, USER, SmtpProcess, smtp_process
from tests.support.waiting import wait_until

from toril.core.errors import InvalidOptionError
from toril.services.mail.port import Mail, MailError, MailRefusedError, MailUnknownError
from toril.services.mail.smtp import SmtpMailer
from toril.services.mail.smtp_url import read_smtp_url


def mail(*to: str, text: str = "t") -> Mail:
    return Mail(to=to or ("jo@example.com",), subject="s", text=text, sender="shop@example.com")


async def test_one_connection_serves_mail_after_mail(smtp: SmtpProcess) -> None:
    mailer = SmtpMailer(smtp.url)
    for _ in range(5):
        await mailer.send(mail())
    with pytest.raises(MailRefusedError):
        await mailer.send(mail("550-gone@example.com"))
    with pytest.raises(MailRefusedError):
        await mailer.send(mail("spam-jo@example.com"))
    await mailer.send(mail())
    await mailer.close()

    assert len(smtp.deliveries()) == 6
    assert smtp.connections() == mailer.opened == 1


async def test_mails_at_once_share_a_bounded_number_of_connections(smtp: SmtpProcess) -> None:
    mailer = SmtpMailer(smtp.url, max_connections=3)
    held = [asyncio.create_task(mailer.send(mail(f"slow-{i}@example.com"))) for i in range(12)]
    await wait_until(lambda: len(smtp.deliveries()) == 3, what="three mails under way")
    (smtp.folder / "go").touch()
    await asyncio.gather(*held)
    await mailer.close()

    assert sorted(smtp.served()) == sorted(f"slow-{i}@example.com" for i in range(12))
    assert smtp.connections() == 3


async def test_connection_that_the_server_closed_costs_no_mail(smtp: SmtpProcess) -> None:
    mailer = SmtpMailer(smtp.url, check_after_s=3600)  # nobody asks it before it is used
    await mailer.send(mail("last-1@example.com"))
    await mailer.send(mail("last-2@example.com"))
    await mailer.send(mail("jo@example.com"))
    await mailer.send(mail("al@example.com"))
    await mailer.close()

    receivers = ["last-1@example.com", "last-2@example.com", "jo@example.com", "al@example.com"]
    assert smtp.served() == receivers
    assert smtp.connections() == 3


async def test_idle_connection_is_checked_before_a_mail_is_trusted_to_it(smtp: SmtpProcess) -> None:
    mailer = SmtpMailer(smtp.url, check_after_s=0)
    await mailer.send(mail())
    (lease,) = mailer._pool._idle
    lease.client.transport.abort()
    await mailer.send(mail())
    await mailer.send(mail())
    await mailer.close()

    assert smtp.connections() == 2
    assert len(smtp.served()) == 3


async def test_unused_connection_is_closed_after_a_while(smtp: SmtpProcess) -> None:
    mailer = SmtpMailer(smtp.url, keep_s=0.05)
    await mailer.send(mail())
    await wait_until(lambda: mailer._pool._idle == [], what="the connection to be let go")
    await mailer.send(mail())
    await mailer.close()

    assert smtp.connections() == 2


async def test_connection_is_given_up_after_so_many_mails(smtp: SmtpProcess) -> None:
    mailer = SmtpMailer(smtp.url, max_mails=2)
    for _ in range(5):
        await mailer.send(mail())
    await mailer.close()

    assert smtp.connections() == 3


def test_connections_of_another_event_loop_are_let_go(smtp: SmtpProcess) -> None:
    mailer = SmtpMailer(smtp.url)

    async def twice() -> None:
        await mailer.send(mail())
        await mailer.send(mail())

    async def once_and_close() -> None:
        await mailer.send(mail())
        await mailer.close()

    asyncio.run(twice())
    with warnings.catch_warnings():  # the first loop ended without `close`, and Python says so
        warnings.simplefilter("ignore", ResourceWarning)
        asyncio.run(once_and_close())
        gc.collect()

    assert len(smtp.served()) == 3
    assert smtp.connections() == 2


async def test_lost_answer_is_an_error_of_its_own(smtp: SmtpProcess) -> None:
    mailer = SmtpMailer(smtp.url)
    with pytest.raises(MailUnknownError, match="the answer was lost"):
        await mailer.send(mail("hangup-jo@example.com"))
    quick = SmtpMailer(smtp.url, answer_timeout_s=0.3)
    with pytest.raises(MailUnknownError, match="the answer was lost"):
        await quick.send(mail("silent-jo@example.com"))
    await mailer.send(mail())
    await mailer.close()
    await quick.close()

    assert smtp.served() == ["hangup-jo@example.com", "silent-jo@example.com", "jo@example.com"]


async def test_server_that_hangs_up_before_it_has_the_mail_has_not_taken_it(
    smtp: SmtpProcess,
) -> None:
    mailer = SmtpMailer(smtp.url)
    with pytest.raises(MailError) as failed:
        await mailer.send(mail("dies-jo@example.com"))
    assert type(failed.value) is MailError

    await mailer.send(mail())  # now there is a connection that was used before
    with pytest.raises(MailError) as failed:
        await mailer.send(mail("dies-jo@example.com"))
    assert type(failed.value) is MailError
    assert smtp.served() == ["jo@example.com"]


async def test_cancelled_mail_takes_its_connection_with_it(smtp: SmtpProcess) -> None:
    mailer = SmtpMailer(smtp.url)
    sending = asyncio.create_task(mailer.send(mail("slow-jo@example.com")))
    await wait_until(lambda: smtp.served() == ["slow-jo@example.com"], what="the mail")
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await mailer.send(mail())
    await mailer.close()

    assert smtp.connections() == 2


async def test_sender_that_is_refused_is_nobodys_address(smtp: SmtpProcess) -> None:
    mailer = SmtpMailer(smtp.url, sender="banned@example.com")
    with pytest.raises(MailRefusedError, match=r"refused the sender banned@example.com: 550") as no:
        await mailer.send(Mail(to=["jo@example.com"], subject="s", text="t"))

    assert no.value.refusals == {}


async def test_mail_over_the_servers_size_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    with smtp_process(tmp_path / "smtp", mode="small") as server:
        mailer = SmtpMailer(server.url)
        with pytest.raises(MailRefusedError, match=r"at most 20,000") as refused:
            await mailer.send(mail(text="x" * 70 + "\n" + "y\n" * 12_000))
        await mailer.send(mail())
        await mailer.close()

        assert refused.value.refusals["jo@example.com"].code == 552
        assert server.connections() == 1


async def test_addresses_beyond_ascii_are_sent_as_servers_take_them(
    smtp: SmtpProcess, tmp_path: Path
) -> None:
    mailer = SmtpMailer(smtp.url)
    receipt = await mailer.send(mail("Zoë <zoë@bücher.example>", "jo@bücher.example"))
    await mailer.close()
    assert list(receipt.accepted) == ["Zoë <zoë@bücher.example>", "jo@bücher.example"]
    assert smtp.served() == ["zoë@xn--bcher-kva.example", "jo@xn--bcher-kva.example"]

    with smtp_process(tmp_path / "old", mode="small") as old:  # it knows no SMTPUTF8
        mailer = SmtpMailer(old.url)
        with pytest.raises(MailRefusedError, match="SMTPUTF8"):
            await mailer.send(mail("zoë@example.com"))
        await mailer.send(mail("jo@bücher.example"))
        await mailer.close()
        assert old.served() == ["jo@xn--bcher-kva.example"]


@pytest.mark.parametrize("mode", ["starttls", "tls", "auth"])
async def test_password_is_given_over_tls(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with smtp_process(tmp_path / "smtp", mode=mode) as server:
        scheme, login = ("smtps", "") if mode == "tls" else ("smtp", f"{USER}:{PASSWORD}@")
        tls = "?tls=require" if mode == "starttls" else ""
        url = f"{scheme}://{login}127.0.0.1:{server.port}{tls}"
        if mode != "auth":
            with pytest.raises(MailError, match=r"(?i)certificate") as failed:
                await SmtpMailer(url).send(mail())
            assert PASSWORD not in str(failed.value)
            monkeypatch.setenv("SSL_CERT_FILE", str(server.folder / "cert.pem"))
        mailer = SmtpMailer(url)
        await mailer.send(mail())
        await mailer.send(mail())
        await mailer.close()

        assert server.served() == ["jo@example.com"] * 2
        last = [each for each in server.events() if each["event"] == "ehlo"][-1]
        assert last["tls"] is (mode != "auth")
        if mode != "tls":
            with pytest.raises(MailRefusedError, match="535") as failed:
                await SmtpMailer(url.replace(PASSWORD, "hunter3")).send(mail())
            assert "hunter" not in str(failed.value)


async def test_server_without_tls_is_refused_where_tls_is_required(smtp: SmtpProcess) -> None:
    with pytest.raises(MailError, match=r"(?i)tls"):
        await SmtpMailer(f"{smtp.url}?tls=require").send(mail())

    assert smtp.served() == []


@pytest.mark.parametrize(
    ("url", "tls", "start_tls"),
    [
        ("smtp://mail.example.com", "auto", None),
        ("smtp://jo:x@mail.example.com", "require", True),
        ("smtp://jo:x@LOCALHOST", "auto", None),
        ("smtp://jo:x@mail.example.com?tls=off", "off", False),
        ("smtps://jo:x@mail.example.com", "require", False),
    ],
)
def test_url_says_how_a_server_is_spoken_to(url: str, tls: str, start_tls: bool | None) -> None:
    server = read_smtp_url(url)

    assert (server.tls, server.start_tls) == (tls, start_tls)
    assert server.port == (465 if url.startswith("smtps") else 587)


@pytest.mark.parametrize("url", ["smtp://jo:hunter2@[x", "smtp://jo:hunter2@x:0",
                                 "smtp://jo:hunter2@x?tls="])  # fmt: skip
def test_error_of_a_bad_url_has_no_password(url: str) -> None:
    with pytest.raises(InvalidOptionError) as refused:
        read_smtp_url(url)

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "option",
    [{"timeout_s": 0}, {"answer_timeout_s": 0}, {"keep_s": -1}, {"check_after_s": -1},
     {"max_connections": 0}, {"max_mails": 0}],
)  # fmt: skip
def test_option_that_makes_no_sense_is_named(option: dict[str, float]) -> None:
    (name,) = option
    with pytest.raises(InvalidOptionError, match=f"^{name}="):
        SmtpMailer("smtp://x", **option)  # type: ignore[arg-type]
