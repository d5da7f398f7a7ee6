"""Who is served next, and what is known after each kind of end; and the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from toril.core.errors import InvalidSettingError
from toril.library.email.delivery import Delivery, deliver, delivery_of, with_delivery
from toril.library.email.settings import EmailSettings
from toril.services.mail.port import MailError, MailRefusedError, MailUnknownError, Refusal

PEOPLE = ["a@example.com", "b@example.com", "c@example.com"]


async def attempt(marks: str, *errors: Exception | None) -> tuple[str, list[str], list[int]]:
    """Deliver; return the last marks, what was saved, and who was sent to."""
    delivery = Delivery(message_id="m", marks=marks)
    saved: list[str] = []
    sent: list[int] = []
    ends = iter(errors)

    async def send(place: int) -> None:
        sent.append(place)
        error = next(ends)
        if error is not None:
            raise error

    async def save(current: Delivery) -> None:
        saved.append(current.marks)

    async def refused(address: str, refusal: Refusal) -> None:
        assert refusal.for_good

    try:
        await deliver(delivery, PEOPLE[: len(marks)], send=send, save=save, refused=refused)
    except MailError as error:
        saved.append(type(error).__name__)
    return delivery.marks, saved, sent


def later(place: int) -> MailError:
    return MailError("later", refusals={PEOPLE[place]: Refusal(451, "later")})


def never(place: int) -> MailRefusedError:
    return MailRefusedError("never", refusals={PEOPLE[place]: Refusal(550, "never")})


@pytest.mark.parametrize(("marks", "errors", "ends", "saved"), [
    ("w", [None], "a", ["s"]),
    ("ww", [None, None], "aa", ["sw", "as", "aa"]),
    ("wa", [None], "aa", ["sa", "aa"]),
    ("wpw", [None, None], "apa", ["spw", "aps", "apa"]),
    ("www", [None, later(1), None], "ada", ["sww", "asw", "ads", "ada"]),
    ("ww", [never(0), None], "ra", ["sw", "rs", "ra"]),
    ("ww", [MailUnknownError("lost")], "uw", ["sw", "uw"]),
    ("uw", [MailUnknownError("lost"), None], "la", ["tw", "ls", "la"]),
    ("u", [later(0)], "u", ["t", "u"]),
    ("u", [None], "a", ["t"]),
    ("dw", [MailError("no server")], "dw", ["sw", "dw", "MailError"]),
    ("uw", [MailError("no server")], "uw", ["tw", "uw", "MailError"]),
    ("ww", [MailRefusedError("wrong password")], "ww", ["sw", "ww", "MailRefusedError"]),
    ("al", [], "al", []),
])  # fmt: skip
async def test_each_end_is_known_before_the_next_mail_leaves(
    marks: str, errors: list[Exception | None], ends: str, saved: list[str]
) -> None:
    found, kept, sent = await attempt(marks, *errors)

    assert (found, kept) == (ends, saved)
    assert len(sent) == len(errors)


@pytest.mark.parametrize(("held", "marks"), [
    ({"messageId": "m", "marks": "asw"}, "auw"),
    ({"messageId": "m", "marks": "atw"}, "alw"),
    ({"messageId": "m", "marks": "drp", "reasons": {"0": "x"}}, "drp"),
    ({"messageId": "m", "marks": "aa"}, "www"),
    ({"messageId": "m", "marks": "a?w"}, "www"),
    ({"marks": "aaa"}, "www"),
    ("aaa", "www"),
    (None, "www"),
])  # fmt: skip
def test_state_is_read_with_care(held: object, marks: str) -> None:
    found = delivery_of({"torilDelivery": held}, message_id="new", receivers=3)

    assert found.marks == marks
    assert found.message_id == ("new" if marks == "www" else "m")
    assert delivery_of([], message_id="new", receivers=1).marks == "w"
    again = with_delivery({"to": "x"}, found)
    assert again["to"] == "x"
    assert delivery_of(again, message_id="x", receivers=3) == found


@pytest.mark.parametrize(("environ", "said"), [
    ({}, "EMAIL_FROM is not set"),
    ({"EMAIL_FROM": "nobody"}, "EMAIL_FROM='nobody'"),
    ({"EMAIL_PROVIDER": "sendgird"}, "EMAIL_PROVIDER='sendgird'"),
    ({"EMAIL_PROVIDER": "smtp"}, "SMTP_URL=None"),
    ({"EMAIL_PROVIDER": "sendgrid"}, "SENDGRID_API_KEY=None"),
    ({"SMTP_URL": "http://jo:hunter2@x"}, "SMTP_URL=(not shown)"),
    ({"EMAIL_MAX_PER_S": "0"}, "EMAIL_MAX_PER_S='0'"),
    ({"EMAIL_MAX_RECIPIENTS": "many"}, "EMAIL_MAX_RECIPIENTS='many': expected a number"),
    ({"EMAIL_TEMPLATES": "/nowhere"}, "EMAIL_TEMPLATES='/nowhere'"),
    ({"TORIL_EGRESS_ALLOW": "a/b"}, "TORIL_EGRESS_ALLOW='a/b'"),
    ({"EMAIL_UNSUBSCRIBE_URL": "https://x.example"}, "EMAIL_UNSUBSCRIBE_URL="),
    ({"EMAIL_UNSUBSCRIBE_URL": "https://x.example/{token}"}, "EMAIL_UNSUBSCRIBE_KEY=None"),
    ({"EMAIL_UNSUBSCRIBE_KEY": "hunter2"}, "EMAIL_UNSUBSCRIBE_KEY=(not shown)"),
])  # fmt: skip
def test_unusable_setting_is_named(environ: dict[str, str], said: str) -> None:
    given = environ if not environ or "EMAIL_FROM" in environ else {
        "EMAIL_FROM": "shop@example.com", **environ,
    }  # fmt: skip
    with pytest.raises(InvalidSettingError) as refused:
        EmailSettings.from_environment(given)

    assert said in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(("environ", "provider"), [
    ({}, "folder"),
    ({"SMTP_URL": "smtp://x"}, "smtp"),
    ({"SMTP_URL": "smtp://x", "SENDGRID_API_KEY": "SG.x"}, "sendgrid"),
    ({"SENDGRID_API_KEY": "SG.x", "EMAIL_PROVIDER": "MEMORY"}, "memory"),
])  # fmt: skip
def test_provider_is_what_was_set(environ: dict[str, str], provider: str, tmp_path: Path) -> None:
    more: dict[str, Any] = {"EMAIL_FROM": "s@example.com", "EMAIL_ATTACHMENT_ROOT": str(tmp_path)}
    settings = EmailSettings.from_environment({**more, **environ})

    assert settings.chosen_provider == provider
    assert settings.attachment_root == tmp_path
    assert "SG.x" not in repr(settings)
