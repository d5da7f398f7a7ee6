"""Encrypts a message for one browser, so that its push service cannot read it.

Source: RFC 8291 (the keys), RFC 8188 (the content encoding `aes128gcm`). A test decrypts with
another implementation, and compares with the example of RFC 8291.
"""

from __future__ import annotations

import os

from toril.core.extras import missing_extra

try:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
except ImportError as error:
    raise missing_extra("Web Push needs cryptography", "push") from error

PublicKey = ec.EllipticCurvePublicKey

RECORD_BYTES = 4096
POINT_BYTES = 65
AUTH_BYTES = 16
SALT_BYTES = 16
_CURVE = ec.SECP256R1()
_LAST_RECORD = b"\x02"
"""What ends the text of the last record. There is one record only."""


def read_point(point: bytes) -> ec.EllipticCurvePublicKey | None:
    """Return the public key of an uncompressed point of P-256; None if it is none."""
    if len(point) != POINT_BYTES or point[0] != 4:
        return None
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, point)
    except ValueError:  # it is not on the curve
        return None


def encrypted(
    content: bytes,
    receiver: ec.EllipticCurvePublicKey,
    auth: bytes,
    *,
    sender: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """Return the body of a request: a header with what the browser needs, and the text sealed.

    Parameters:
        content: The plain text.
        receiver: The browser's key.
        auth: The 16 bytes that it shares with who may send.
        sender: Default: a new key. It must serve one message only.
        salt: 16 bytes. Default: new ones.
    """
    sender = sender or ec.generate_private_key(_CURVE)
    salt = salt or os.urandom(SALT_BYTES)
    sender_point = _point(sender.public_key())
    shared = sender.exchange(ec.ECDH(), receiver)
    both = b"WebPush: info\x00" + _point(receiver) + sender_point
    secret = _derived(shared, salt=auth, info=both, length=32)
    key = _derived(secret, salt=salt, info=b"Content-Encoding: aes128gcm\x00", length=16)
    nonce = _derived(secret, salt=salt, info=b"Content-Encoding: nonce\x00", length=12)
    sealed = AESGCM(key).encrypt(nonce, content + _LAST_RECORD, None)
    size = RECORD_BYTES.to_bytes(4, "big")
    return salt + size + bytes([len(sender_point)]) + sender_point + sealed


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _derived(secret: bytes, *, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)
