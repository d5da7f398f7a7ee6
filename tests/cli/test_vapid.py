"""`toril vapid`: what it prints is a key pair."""

from __future__ import annotations

import pytest
from tests.cli.support import Result, Terminal

from toril.library.push import PushSettings
from toril.services.push.vapid import VapidKeys


def pair(public: str, private: str, subject: str = "mailto:a@example.com") -> VapidKeys:
    return VapidKeys(public_key=public, private_key=private, subject=subject)


def labelled(result: Result) -> dict[str, str]:
    lines = (line.partition(":") for line in result.out.splitlines())
    return {name: value.strip() for name, _, value in lines}


def test_pair_is_printed_for_people(terminal: Terminal) -> None:
    result = terminal.here("vapid")

    assert (result.code, result.err) == (0, "")
    found = labelled(result)
    assert list(found) == ["Public key", "Private key"]
    assert pair(found["Public key"], found["Private key"])


def test_pair_is_printed_as_json(terminal: Terminal) -> None:
    first, second = (
        terminal.here("vapid", "--json", *more)
        for more in ([], ["--subject", "https://example.com"])
    )

    assert list(first.json) == ["publicKey", "privateKey"]
    assert pair(first.json["publicKey"], first.json["privateKey"])
    assert second.json["subject"] == "https://example.com"
    assert second.json["publicKey"] != first.json["publicKey"]


def test_pair_is_printed_as_settings_that_are_read(terminal: Terminal) -> None:
    result = terminal.here("vapid", "--env", "--subject", "mailto:ops@example.com")

    environ = dict(line.split("=", 1) for line in result.out.splitlines())
    vapid = PushSettings.from_environment(environ).vapid
    assert vapid is not None
    assert vapid.subject == "mailto:ops@example.com"
    assert vapid.public_key == environ["VAPID_PUBLIC_KEY"]


def test_subject_of_people_is_beside_the_pair(terminal: Terminal) -> None:
    found = labelled(terminal.here("vapid", "--subject", "mailto:ops@example.com"))

    assert found["Subject"] == "mailto:ops@example.com"


def test_settings_without_a_subject_have_one_to_replace(terminal: Terminal) -> None:
    result = terminal.here("vapid", "--env")

    assert "VAPID_SUBJECT=mailto:you@example.com" in result.out.splitlines()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--subject", "ops"], "toril: --subject='ops': expected whom push services may write to"),
        (["--json", "--env"], "toril: --json and --env: expected one of them"),
        (["--jsn"], "toril: No such option"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    terminal: Terminal, words: list[str], message: str
) -> None:
    result = terminal.here("vapid", *words)

    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(message)
    assert len(result.err.splitlines()) == 1
