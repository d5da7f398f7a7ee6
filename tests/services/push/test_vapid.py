"""VAPID keys: forms that are read, and what is refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from tests.support.push_endpoint import point, raw, text

from toril import InvalidOptionError
from toril.services.push.vapid import VapidKeys

KEY = ec.derive_private_key(2**255 - 19, ec.SECP256R1())  # names of tests have to stay
PUBLIC = text(point(KEY))
PRIVATE = text(KEY.private_numbers().private_value.to_bytes(32, "big"))
SUBJECT = "mailto:ops@example.com"


def pem(key: ec.EllipticCurvePrivateKey, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def public_pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(Encoding.PEM, form).decode()


def keys(public: str = PUBLIC, private: str = PRIVATE, subject: str = SUBJECT) -> VapidKeys:
    return VapidKeys(public_key=public, private_key=private, subject=subject)


def test_new_pair_is_one() -> None:
    made = VapidKeys.generate(SUBJECT)

    assert keys(made.public_key, made.private_key) == made
    assert (len(raw(made.public_key)), len(raw(made.private_key))) == (65, 32)
    assert VapidKeys.generate(SUBJECT).private_key != made.private_key
    assert made.private_key not in repr(made)


@pytest.mark.parametrize(
    ("public", "private"),
    [
        (PUBLIC, PRIVATE),
        (f" {PUBLIC}=\n", PRIVATE + "="),
        (PUBLIC.replace("-", "+").replace("_", "/"), PRIVATE.replace("-", "+").replace("_", "/")),
        (public_pem(KEY), pem(KEY)),
        (PUBLIC, pem(KEY, PrivateFormat.TraditionalOpenSSL)),
        (public_pem(KEY), PRIVATE),
        (public_pem(KEY).replace("\n", "\\n"), pem(KEY).replace("\n", "\\n")),
    ],
)
def test_forms_of_other_programs_are_read(public: str, private: str) -> None:
    found = keys(public, private)

    assert (found.public_key, found.private_key) == (PUBLIC, PRIVATE)


OTHER_CURVE = ec.derive_private_key(2**255 - 19, ec.SECP384R1())


@pytest.mark.parametrize(
    "private",
    [
        "", "x", "ä", PRIVATE + "AA", text(b"\x00" * 32), text(b"\xff" * 32), pem(OTHER_CURVE),
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", PUBLIC,
    ],
)  # fmt: skip
def test_private_key_that_is_none_is_refused_and_not_shown(private: str) -> None:
    with pytest.raises(
        InvalidOptionError, match=r"^VAPID_PRIVATE_KEY: expected .*`toril vapid`"
    ) as e:
        keys(private=private)

    assert not private or private not in str(e.value) or private == "x"


def test_private_key_of_another_kind_or_with_a_password_is_refused() -> None:
    form = PrivateFormat.PKCS8
    other = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, form, NoEncryption())
    locked = KEY.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"word"))

    for each in (other, locked):
        with pytest.raises(InvalidOptionError, match=r"^VAPID_PRIVATE_KEY: .* without a password"):
            keys(private=each.decode())


@pytest.mark.parametrize(
    "public",
    [
        "", "x", PRIVATE, text(b"\x04" + b"\x01" * 64), text(b"\x03" + point(KEY)[1:]),
        public_pem(OTHER_CURVE), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        pem(KEY),
    ],
)  # fmt: skip
def test_public_key_that_is_none_is_refused(public: str) -> None:
    with pytest.raises(
        InvalidOptionError, match=r"^VAPID_PUBLIC_KEY: expected a public key of P-256"
    ):
        keys(public=public)


def test_keys_that_are_no_pair_are_refused_with_the_right_one() -> None:
    other = VapidKeys.generate(SUBJECT)

    with pytest.raises(InvalidOptionError) as refused:
        keys(public=other.public_key)

    assert str(refused.value).startswith("VAPID_PUBLIC_KEY and VAPID_PRIVATE_KEY are no pair: ")
    assert PUBLIC in str(refused.value)
    assert PRIVATE not in str(refused.value)


@pytest.mark.parametrize(
    "subject", ["mailto:a@example.com", "https://example.com", "https://example.com/contact"]
)
def test_subject_is_an_address_or_a_page(subject: str) -> None:
    assert keys(subject=subject).subject == subject


@pytest.mark.parametrize(
    "subject",
    ["", "a@example.com", "mailto:", "mailto:@", "mailto:a", "http://example.com", "https://",
     "mailto:a@b c", "https://exa mple.com", "mailto:a@b\n"],
)  # fmt: skip
def test_subject_that_is_neither_is_refused(subject: str) -> None:
    with pytest.raises(InvalidOptionError, match=r"^VAPID_SUBJECT=.*: expected whom push services"):
        keys(subject=subject)
