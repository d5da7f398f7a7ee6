"""The keys by which an application says who it is to push services, and the tokens made of them.

Source: RFC 8292 (VAPID), RFC 7515 and 7518 (the token: JWS with ES256).
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from toril.core.clock import Clock, SystemClock
from toril.core.errors import InvalidOptionError
from toril.core.extras import missing_extra
from toril.services.push.base64url import decoded, encoded

try:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_private_key,
        load_pem_public_key,
    )
except ImportError as error:
    raise missing_extra("Web Push needs cryptography", "push") from error

TOKEN_S = 12 * 3600
"""How long a token is valid, in seconds. Push services refuse more than 24 h."""
RENEW_S = 3600
"""So long before its end a token is made anew, in seconds."""
MAX_TOKENS = 1000
"""Push services whose token is remembered. Endpoints come from outside, with any number of them."""
_PRIVATE_BYTES = 32
_POINT_BYTES = 65
_MAKE = "make a pair with `toril vapid`"


@dataclass(frozen=True, slots=True, kw_only=True)
class VapidKeys:
    """A key pair of P-256 and whom a push service may write to about its messages.

    Raises:
        InvalidOptionError: A key or the subject is none, or the keys are no pair. The message
            names the setting, and never shows the private key.
    """

    public_key: str
    """What browsers subscribe with: base64url of the point, or PEM. It is kept as base64url."""
    private_key: str = field(repr=False)
    """Base64url of the 32 bytes, or PEM. It is kept as base64url."""
    subject: str
    """`mailto:` and an address, or an `https:` URL."""
    public_name: str = field(default="VAPID_PUBLIC_KEY", repr=False, compare=False)
    private_name: str = field(default="VAPID_PRIVATE_KEY", repr=False, compare=False)
    subject_name: str = field(default="VAPID_SUBJECT", repr=False, compare=False)
    """What the settings are called in messages."""

    def __post_init__(self) -> None:
        private = _private(self.private_name, self.private_key)
        point = _public_point(self.public_name, self.public_key)
        if _point(private.public_key()) != point:
            raise InvalidOptionError(
                f"{self.public_name} and {self.private_name} are no pair: the public key of this"
                f" private key is {encoded(_point(private.public_key()))}. Set that, or {_MAKE}"
            )
        _check_subject(self.subject_name, self.subject)
        object.__setattr__(self, "public_key", encoded(point))
        object.__setattr__(self, "private_key", encoded(_number(private)))

    @classmethod
    def generate(cls, subject: str, *, subject_name: str = "VAPID_SUBJECT") -> VapidKeys:
        """Return a new pair."""
        private = ec.generate_private_key(ec.SECP256R1())
        return cls(
            public_key=encoded(_point(private.public_key())),
            private_key=encoded(_number(private)),
            subject=subject,
            subject_name=subject_name,
        )


class VapidTokens:
    """Makes tokens, one for each push service and half a day: a signature costs 0.1 ms."""

    def __init__(self, keys: VapidKeys, *, clock: Clock | None = None) -> None:
        self._keys = keys
        self._clock = clock or SystemClock()
        self._private = _private(keys.private_name, keys.private_key)
        self._made: OrderedDict[str, tuple[int, str]] = OrderedDict()
        """Token and its end in epoch seconds by origin, the one used last at the end."""

    def authorization(self, endpoint: str) -> str:
        """Return the header `Authorization` for a push service.

        Parameters:
            endpoint: Of a subscription. Its origin is whom the token is for.
        """
        parts = urlsplit(endpoint)
        audience = f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"
        now_s = self._clock.now_ms() // 1000
        ends_s, header = self._made.get(audience, (0, ""))
        # A clock that was put back must not leave a token that ends too late for push services.
        if not RENEW_S < ends_s - now_s <= TOKEN_S:
            ends_s = now_s + TOKEN_S
            header = f"vapid t={self._token(audience, ends_s)}, k={self._keys.public_key}"
            self._made[audience] = ends_s, header
        self._made.move_to_end(audience)
        if len(self._made) > MAX_TOKENS:
            self._made.popitem(last=False)
        return header

    def _token(self, audience: str, ends_s: int) -> str:
        claims = {"aud": audience, "exp": ends_s, "sub": self._keys.subject}
        signed = f"{_part({'typ': 'JWT', 'alg': 'ES256'})}.{_part(claims)}"
        signature = self._private.sign(signed.encode(), ec.ECDSA(SHA256()))
        r, s = decode_dss_signature(signature)
        return f"{signed}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _part(value: dict[str, object]) -> str:
    return encoded(json.dumps(value, separators=(",", ":")).encode())


def _private(name: str, text: str) -> ec.EllipticCurvePrivateKey:
    """Return a private key of base64url or PEM.

    Raises:
        InvalidOptionError: It is neither. The message does not show it.
    """
    if "-----BEGIN" in text:
        try:
            key = load_pem_private_key(_pem(text), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            return key
        raise InvalidOptionError(
            f"{name}: expected a private key of P-256 without a password; the PEM is none. {_MAKE}"
        )
    number = decoded(text)
    if number is not None and len(number) == _PRIVATE_BYTES:
        try:
            return ec.derive_private_key(int.from_bytes(number, "big"), ec.SECP256R1())
        except ValueError:  # 0, or beyond the curve's order
            pass
    raise InvalidOptionError(
        f"{name}: expected a private key of P-256 as 32 bytes in base64url, or as PEM; {_MAKE}"
    )


def _public_point(name: str, text: str) -> bytes:
    if "-----BEGIN" in text:
        try:
            key = load_pem_public_key(_pem(text))
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            return _point(key)
    else:
        point = decoded(text)
        if point is not None and len(point) == _POINT_BYTES and point[0] == 4:
            try:
                ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
            except ValueError:
                pass
            else:
                return point
    raise InvalidOptionError(
        f"{name}: expected a public key of P-256 as 65 bytes in base64url, or as PEM; {_MAKE}"
    )


def _pem(text: str) -> bytes:
    # Files of settings often hold a PEM in one line, with \n for its ends of lines.
    return text.strip().replace("\\n", "\n").encode()


def _check_subject(name: str, subject: str) -> None:
    scheme, _, rest = subject.partition(":")
    good = scheme == "mailto" and "@" in rest.strip("@") and not _is_odd(rest)
    if scheme == "https" and not _is_odd(rest):
        good = bool(urlsplit(subject).hostname)
    if not good:
        raise InvalidOptionError(
            f"{name}={subject!r}: expected whom push services may write to: mailto: and an address,"
            " or an https:// URL"
        )


def _is_odd(text: str) -> bool:
    return any(char.isspace() or not char.isprintable() for char in text)


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _number(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_numbers().private_value.to_bytes(_PRIVATE_BYTES, "big")
