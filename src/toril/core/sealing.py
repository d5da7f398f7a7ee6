"""Seals JSON values so that whoever reads the store cannot read them, and opens them again.

A sealed value is a JSON object of one field: `{"$sealed": "1.<key id>.<text>"}`. The text is a
nonce of 12 bytes and the output of AES-256-GCM for the value's JSON in UTF-8, together in base64
(URL-safe, without padding). The associated data is `toril.sealed.1:<path>`. The path says where the
value stands in its payload, such as `card.number`: a value cannot be moved to another field.

Source: NIST SP 800-38D (AES-GCM). A random nonce of 96 bits is safe for 2^32 values of one key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from toril.core.errors import InvalidOptionError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MARK = "$sealed"
"""The only field of a sealed value."""
KEY_BYTES = 32
_NONCE_BYTES = 12
_SHAPE = re.compile(r"1\.([0-9a-f]{8})\.([A-Za-z0-9_-]+)")


class CannotOpenError(ValueError):
    """A sealed value cannot be read: no key of ours made it, or it was changed."""


def new_key() -> str:
    """Return a new key, as text for `TORIL_ENCRYPTION_KEYS`."""
    return base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode()


def parse_key(source: str, text: object) -> str:
    """Return the text of a key if it is one.

    Raises:
        InvalidOptionError: It is none. The message does not show it.
    """
    try:
        if isinstance(text, str) and len(_key_bytes(text)) == KEY_BYTES:
            return text.strip()
    except (binascii.Error, ValueError):
        pass
    raise InvalidOptionError(
        f"{source}: a key is {KEY_BYTES} bytes in base64; one of them is not. Make one with `toril"
        " encryption-key`"
    )


def is_sealed(value: object) -> bool:
    """Whether a JSON value is a sealed one."""
    return (
        isinstance(value, dict)
        and len(value) == 1
        and isinstance(text := value.get(MARK), str)
        and _SHAPE.fullmatch(text) is not None
    )


class KeyRing:
    """The keys of one program: the first one seals, all of them open."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Take keys.

        Parameters:
            keys: Each as `parse_key` returns it; at least one.

        Raises:
            MissingExtraError: `cryptography` is not installed.
        """
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            from toril.core.extras import missing_extra

            raise missing_extra("sealed fields need cryptography", "sealed") from error
        self._ciphers: dict[str, AESGCM] = {}
        for key in keys:
            secret = _key_bytes(key)
            self._ciphers.setdefault(key_id(secret), AESGCM(secret))
        self._first = next(iter(self._ciphers))

    def seal(self, value: bytes, path: str) -> dict[str, str]:
        """Return a value, given as JSON, sealed for its place in a payload."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._first].encrypt(nonce, value, _associated(path))
        text = base64.urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()
        return {MARK: f"1.{self._first}.{text}"}

    def open(self, sealed: dict[str, Any], path: str) -> bytes:
        """Return the JSON of a sealed value.

        Raises:
            CannotOpenError: No key here has sealed it, or it is not as it was sealed.
        """
        from cryptography.exceptions import InvalidTag

        match = _SHAPE.fullmatch(sealed[MARK])
        if match is None:
            raise CannotOpenError("it is not of this form")
        cipher = self._ciphers.get(match[1])
        if cipher is None:
            raise CannotOpenError(
                f"it was sealed with key {match[1]}, and TORIL_ENCRYPTION_KEYS has"
                f" {', '.join(self._ciphers)}"
            )
        try:
            content = base64.urlsafe_b64decode(match[2] + "=" * (-len(match[2]) % 4))
            return cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], _associated(path))
        except (InvalidTag, ValueError):
            raise CannotOpenError("it was changed, or comes from another field") from None


def key_id(secret: bytes) -> str:
    """Return what a key is called in what it has sealed: the start of its SHA-256, in hex."""
    return hashlib.sha256(b"toril.key.1:" + secret).hexdigest()[:8]


def _key_bytes(text: str) -> bytes:
    plain = text.strip().replace("-", "+").replace("_", "/")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _associated(path: str) -> bytes:
    return f"toril.sealed.1:{path}".encode()
