"""Reads the answers of a payment provider over HTTP, and says what it does not take."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from toril.services.http.port import HttpReply
from toril.services.payments.port import PaymentSetupError, PaymentUnclearError

T = TypeVar("T")


def decoded(reply: HttpReply, kind: type[T], provider: str) -> T:
    """Return the JSON of an answer.

    Parameters:
        reply: The answer; its status is below 500.
        kind: What it has to be.
        provider: Who gave it, for the errors.

    Raises:
        PaymentSetupError: The provider refuses the request.
        PaymentUnclearError: The answer cannot be read: nobody knows what became of the charge.
    """
    if reply.status >= 400:
        raise PaymentSetupError(f"{provider} refuses the request: {reply.status} {said(reply)}")
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PaymentUnclearError(f"{provider}: the answer cannot be read: {error}") from None


def said(reply: HttpReply) -> str:
    """Return the beginning of an answer, for an error's text."""
    return reply.body[:300].decode("utf-8", "replace").strip() or "(no reason)"
