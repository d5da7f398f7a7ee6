"""What browsers send when their users subscribe, and what only looks like it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.support.push_endpoint import Browser, text

from toril import InvalidOptionError
from toril.services.http.egress import EgressPolicy
from toril.services.push.subscribing import check_reachable, read_subscription

BROWSER = Browser("https://push.example/send/1")


def changed(path: str, value: object) -> dict[str, Any]:
    given = BROWSER.json
    place: dict[str, Any] = given
    *before, last = path.split(".")
    for name in before:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return given


def test_what_a_browser_sends_is_read() -> None:
    assert read_subscription(BROWSER.json) == BROWSER.subscription
    assert read_subscription({"subscription": BROWSER.json}) == BROWSER.subscription


def test_keys_of_another_spelling_are_kept_in_one() -> None:
    given = BROWSER.json
    given["keys"]["p256dh"] = given["keys"]["p256dh"].replace("-", "+").replace("_", "/") + "="
    given["keys"]["auth"] = given["keys"]["auth"] + "=="

    assert read_subscription(given) == BROWSER.subscription


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("endpoint", None, "endpoint: missing"),
        ("endpoint", 5, "endpoint: expected a text"),
        ("endpoint", "http://push.example/1", "endpoint='http://push.example/1': expected a URL"),
        ("endpoint", "https:///x", "endpoint="),
        ("endpoint", "https://push.example:99999/x", "endpoint="),
        ("endpoint", "https://u:p@push.example/x", "endpoint="),
        ("endpoint", "https://push.example/a b", "endpoint="),
        ("endpoint", "https://push.exämple/", "endpoint="),
        ("endpoint", "https://push.example/" + "x" * 2048, "endpoint=.* at most 2048 characters"),
        ("keys", None, "keys: expected an object"),
        ("keys", [1], "keys: expected an object"),
        ("keys.p256dh", None, r"keys\.p256dh: missing"),
        ("keys.p256dh", 1, r"keys\.p256dh: expected a text"),
        ("keys.p256dh", "AAAA", r"keys\.p256dh: expected 65 bytes in base64url, an uncompressed"),
        ("keys.p256dh", text(b"\x04" + b"\x01" * 64), r"keys\.p256dh: expected 65 bytes"),
        ("keys.auth", None, r"keys\.auth: missing"),
        ("keys.auth", text(b"x" * 15), r"keys\.auth: expected 16 bytes in base64url"),
        ("keys.auth", "not base64!", r"keys\.auth: expected 16 bytes"),
    ],
)
def test_field_that_is_wrong_is_named(path: str, value: object, message: str) -> None:
    with pytest.raises(InvalidOptionError, match=f"^{message}"):
        read_subscription(changed(path, value))


@pytest.mark.parametrize("given", [None, [], "x", 5])
def test_what_is_no_object_is_refused(given: object) -> None:
    with pytest.raises(InvalidOptionError, match=r"^subscription: expected an object"):
        read_subscription(given)


@pytest.mark.parametrize(
    ("endpoint", "allow", "good"),
    [
        ("http://127.0.0.1:9/x", "127.0.0.0/8", True),
        ("http://push.internal/x", "push.internal", True),
        ("http://127.0.0.1:9/x", "10.0.0.0/8", False),
        ("http://8.8.8.8/x", "127.0.0.0/8", False),
        ("http://push.example/x", "push.internal", False),
    ],
)
def test_plain_http_is_for_allowed_hosts_inside_only(endpoint: str, allow: str, good: bool) -> None:
    policy = EgressPolicy([allow])

    if good:
        assert read_subscription(changed("endpoint", endpoint), policy).endpoint == endpoint
    else:
        with pytest.raises(InvalidOptionError, match="expected a URL with https://"):
            read_subscription(changed("endpoint", endpoint), policy)


@pytest.mark.parametrize(
    ("host", "addresses", "good"),
    [
        ("push.example", ["93.184.216.34"], True),
        ("push.example", ["10.0.0.1"], False),
        ("push.example", ["93.184.216.34", "127.0.0.1"], False),
        ("push.internal", ["10.0.0.1"], True),
        ("10.9.9.9", ["10.9.9.9"], False),
    ],
)
async def test_private_address_is_refused_when_subscribing(
    host: str, addresses: list[str], good: bool
) -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    policy = EgressPolicy(["push.internal"])
    if good:
        await check_reachable(f"https://{host}/x", policy, resolve=resolve)
    else:
        with pytest.raises(InvalidOptionError, match=r"^endpoint: .* private.*TORIL_EGRESS_ALLOW"):
            await check_reachable(f"https://{host}/x", policy, resolve=resolve)


async def test_name_server_that_is_away_refuses_nobody() -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no name server")

    await check_reachable("https://push.example/x", EgressPolicy(), resolve=resolve)


async def test_addresses_are_asked_of_the_system_by_default() -> None:
    with pytest.raises(InvalidOptionError, match=r"^endpoint: localhost"):
        await check_reachable("https://localhost/x", EgressPolicy())
