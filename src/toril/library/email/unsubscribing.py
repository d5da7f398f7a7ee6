"""Links by which a receiver of bulk mail unsubscribes, and the headers that mail programs read.

A token names its receiver and is signed: nobody can unsubscribe others by guessing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from toril.core.errors import InvalidOptionError
from toril.library.email.settings import EmailSettings
from toril.services.mail.suppressions import plain

_SIGNED_BYTES = 16


def unsubscribe_token(address: str, *, key: str) -> str:
    """Return what stands for `{token}` in the link of a receiver."""
    named = plain(address).encode()
    return _text(_signature(named, key) + named)


def unsubscribe_url(address: str, settings: EmailSettings) -> str:
    """Return the link of a receiver.

    Raises:
        InvalidOptionError: The settings have none.
    """
    url, key = settings.unsubscribe_url, settings.unsubscribe_key
    if url is None or key is None:
        raise InvalidOptionError(
            "EMAIL_UNSUBSCRIBE_URL is not set: bulk mail has to carry a link by which its receiver"
            " unsubscribes, such as https://shop.example.com/unsubscribe?t={token}"
        )
    return url.replace("{token}", unsubscribe_token(address, key=key))


def read_token(token: str, *, key: str) -> str | None:
    """Return the address that a token names; None if we did not sign it."""
    try:
        held = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except ValueError:
        return None
    signature, named = held[:_SIGNED_BYTES], held[_SIGNED_BYTES:]
    # What is decoded may be spelled in several ways; only ours counts.
    if not hmac.compare_digest(signature, _signature(named, key)) or _text(held) != token:
        return None
    return named.decode()


def unsubscribe_headers(url: str) -> dict[str, str]:
    """Return the headers of a mail with this link.

    Source:
        RFC 2369 for the link, RFC 8058 for unsubscribing with one click: the mail program sends a
        POST to the link, with the second header's text as its body.
    """
    return {
        "List-Unsubscribe": f"<{url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def _signature(named: bytes, key: str) -> bytes:
    return hmac.digest(key.encode(), b"toril-unsubscribe:" + named, hashlib.sha256)[:_SIGNED_BYTES]


def _text(held: bytes) -> str:
    return base64.urlsafe_b64encode(held).rstrip(b"=").decode()
