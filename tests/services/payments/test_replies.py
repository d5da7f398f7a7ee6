"""What the answers of payment providers mean."""

from __future__ import annotations

from typing import Any

import pytest

from toril.services.http.port import HttpReply
from toril.services.payments.port import PaymentSetupError, PaymentUnclearError
from toril.services.payments.replies import decoded, said


def reply(status: int, body: bytes) -> HttpReply:
    return HttpReply(status=status, headers={}, body=body, url="https://bank.example/")


def test_answer_below_400_is_read() -> None:
    assert decoded(reply(399, b'{"a": 1}'), dict[str, int], "Bank") == {"a": 1}


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_refusal_is_told_with_what_was_said(status: int) -> None:
    with pytest.raises(PaymentSetupError) as caught:
        decoded(reply(status, b" no such shop \n"), dict[str, Any], "Bank")

    assert str(caught.value) == f"Bank refuses the request: {status} no such shop"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": "x"}', b'{"a": \xff}'])
def test_answer_that_cannot_be_read_leaves_the_charge_unclear(body: bytes) -> None:
    with pytest.raises(PaymentUnclearError, match="Bank: the answer cannot be read"):
        decoded(reply(200, body), dict[str, int], "Bank")


@pytest.mark.parametrize(
    ("body", "text"),
    [(b"", "(no reason)"), (b" \n", "(no reason)"), (b"x" * 400, "x" * 300), (b"\xff!", "\ufffd!")],
)
def test_only_the_beginning_is_said(body: bytes, text: str) -> None:
    assert said(reply(500, body)) == text
