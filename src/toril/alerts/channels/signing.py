"""Signs webhooks, and checks signatures, as the Standard Webhooks say.

Source:
    https://www.standardwebhooks.com, version 1: three headers, and an HMAC-SHA256 of id, time and
    body. There are libraries for receivers in many languages.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence

from toril.core.errors import InvalidOptionError

PREFIX = "whsec_"
MIN_BYTES = 24
TOLERANCE_S = 300.0


def secret_bytes(secret: str) -> bytes:
    """Return the key that a secret stands for: `whsec_` and base64, or a text as it is.

    Raises:
        InvalidOptionError: It is too short, or no base64. The message does not show it.
    """
    key = secret.encode()
    if secret.startswith(PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise InvalidOptionError("secret: expected base64 behind whsec_") from None
    if len(key) < MIN_BYTES:
        raise InvalidOptionError(
            f"secret: expected {MIN_BYTES} bytes or more, such as `openssl rand -hex 32` prints"
        )
    return key


def signed_headers(
    secrets: Sequence[bytes], message_id: str, body: bytes, *, now_s: int
) -> dict[str, str]:
    """Return the headers of a signed request; one signature for each secret."""
    marks = (f"v1,{_signature(secret, message_id, str(now_s), body)}" for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(marks),
    }


def check_webhook(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    tolerance_s: float = TOLERANCE_S,
    now_s: float | None = None,
) -> bool:
    """Return whether a webhook was signed with a secret, and lately. For who receives it.

    Parameters:
        secret: As the channel has it.
        headers: Of the request; their names in any case.
        body: Of the request, as it came.
        tolerance_s: How far its time may be from now: an older one may be somebody's copy.
        now_s: The time, seconds since 1970. Default: now.

    Raises:
        InvalidOptionError: The secret is none.
    """
    found = {name.lower(): value for name, value in headers.items()}
    stamp = found.get("webhook-timestamp", "")
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) < 16):
        return False
    if abs((time.time() if now_s is None else now_s) - int(stamp)) > tolerance_s:
        return False
    wanted = _signature(secret_bytes(secret), found.get("webhook-id", ""), stamp, body)
    marks = found.get("webhook-signature", "").split()
    return any(hmac.compare_digest(mark.encode(), f"v1,{wanted}".encode()) for mark in marks)


def _signature(secret: bytes, message_id: str, stamp: str, body: bytes) -> str:
    text = f"{message_id}.{stamp}.".encode() + body
    return base64.b64encode(hmac.new(secret, text, hashlib.sha256).digest()).decode()
