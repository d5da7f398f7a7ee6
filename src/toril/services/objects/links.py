"""Links to objects of a storage that has no server of its own: signed, and good for a while.

`serving.py` answers them. A link says the key and when it ends; who lacks the secret can change
neither.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from toril.core.checks import require
from toril.core.clock import Clock, SystemClock
from toril.services.objects.keys import check_key

MAX_EXPIRES_S = 7 * 24 * 3600.0
"""Longest life of a link, in seconds: what S3 allows."""
MIN_SECRET_BYTES = 16


class Links:
    """Makes and checks links.

    Parameters:
        secrets: The first signs, all are accepted, so that they can be changed. Each of at least 16
            bytes. Not shown.
        base_url: What stands before the key: where `link_routes` is mounted, such as
            `https://example.com/files`. Default: `/files`, on the server that shows the link.
        clock: What time it is.
    """

    def __init__(
        self, secrets: Sequence[bytes], *, base_url: str = "/files", clock: Clock | None = None
    ) -> None:
        require(bool(secrets), "secrets", len(secrets), "at least one secret")
        for secret in secrets:
            good = len(secret) >= MIN_SECRET_BYTES
            require(good, "secrets", f"{len(secret)} bytes", f"at least {MIN_SECRET_BYTES} bytes")
        good = base_url.startswith(("/", "http://", "https://")) and not set(base_url) & set("?#")
        require(good, "base_url", base_url, "an address such as https://example.com/files")
        self._secrets = tuple(secrets)
        self.base_url = base_url.rstrip("/")
        self._clock = clock or SystemClock()

    def __repr__(self) -> str:
        return f"Links({self.base_url!r})"

    def make(self, key: str, *, expires_s: float) -> str:
        """Return a link to an object."""
        check_key(key)
        check_expiry(expires_s)
        until_s = self._clock.now_ms() // 1000 + int(expires_s)
        signature = _signature(self._secrets[0], key, until_s)
        return f"{self.base_url}/{quote(key)}?expires={until_s}&signature={signature}"

    def refusal(self, key: str, query: Mapping[str, str]) -> str | None:
        """Return why a link is not good; None if it is.

        Parameters:
            key: Of its path, as text.
            query: Its parameters.
        """
        text = query.get("expires", "")
        if not (text.isascii() and text.isdigit() and len(text) <= 12):
            return "the link is damaged"
        given = query.get("signature", "").encode()
        good = [
            hmac.compare_digest(given, _signature(secret, key, int(text)).encode())
            for secret in self._secrets
        ]
        if not any(good):
            return "the link is damaged"
        if int(text) * 1000 <= self._clock.now_ms():
            return "the link has ended"
        return None


def check_expiry(expires_s: float) -> None:
    """Refuse a life that no link can have.

    Raises:
        InvalidOptionError: It is under a second or over seven days.
    """
    good = 1 <= expires_s <= MAX_EXPIRES_S
    require(good, "expires_s", expires_s, "seconds, 1 to 604800 (7 days)")


def _signature(secret: bytes, key: str, until_s: int) -> str:
    text = f"toril-object-link\n{until_s}\n{key}".encode()
    return urlsafe_b64encode(hmac.digest(secret, text, hashlib.sha256)).rstrip(b"=").decode()
