"""Web Push by its RFCs: what goes over the wire, and what each answer means."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.http_server import Answer, serving
from tests.support.push_endpoint import PushEndpoint, push_endpoint, raw, token_problem

from toril.services.http.egress import EgressPolicy
from toril.services.push.encryption import encrypted, read_point
from toril.services.push.port import PushMessage, Subscription
from toril.services.push.vapid import RENEW_S, TOKEN_S, VapidKeys, VapidTokens
from toril.services.push.web_push import WebPusher
from toril.testing.clock import ManualClock

MESSAGE = PushMessage(body=b"{}")


@pytest.fixture
async def endpoint() -> AsyncIterator[PushEndpoint]:
    async with push_endpoint() as made:
        yield made


@pytest.fixture
async def pusher(endpoint: PushEndpoint) -> AsyncIterator[WebPusher]:
    made = WebPusher(endpoint.keys, policy=EgressPolicy(["127.0.0.1"]), timeout_s=5.0)
    yield made
    await made.close()


def test_encryption_gives_the_example_of_rfc_8291() -> None:
    """RFC 8291, section 5 and appendix A."""
    receiver = read_point(
        raw(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
        )
    )
    sender = ec.derive_private_key(
        int.from_bytes(raw("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big"), ec.SECP256R1()
    )
    assert receiver is not None

    body = encrypted(
        b"When I grow up, I want to be a watermelon",
        receiver,
        raw("BTBZMqHH6r4Tts7J_aSIgg"),
        sender=sender,
        salt=raw("DGv6ra1nlYgDCS1FRnbzlw"),
    )

    assert body == raw(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWA"
        "mS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxs"
        "j_Qulcy4a-fN"
    )


async def test_request_says_how_long_how_urgent_and_what_about(
    pusher: WebPusher, endpoint: PushEndpoint
) -> None:
    browser = endpoint.browser()
    message = PushMessage(body=b"{}", ttl_s=60, urgency="high", topic="room-1")

    await pusher.send(browser.subscription, message)
    await pusher.send(browser.subscription, MESSAGE)

    first, second = (each.headers for each in browser.requests)
    assert (first["ttl"], first["urgency"], first["topic"]) == ("60", "high", "room-1")
    assert (second["ttl"], second["urgency"]) == ("86400", "normal")
    assert "topic" not in second
    assert [each.method for each in browser.requests] == ["POST", "POST"]


async def test_each_message_has_a_key_and_a_salt_of_its_own(
    pusher: WebPusher, endpoint: PushEndpoint
) -> None:
    browser = endpoint.browser()

    for _ in range(3):
        await pusher.send(browser.subscription, MESSAGE)

    assert len({each.body[:16] for each in browser.requests}) == 3
    assert len({each.body[21:86] for each in browser.requests}) == 3


async def test_requests_share_connections_and_a_token(
    pusher: WebPusher, endpoint: PushEndpoint
) -> None:
    browsers = [endpoint.browser() for _ in range(10)]

    for browser in browsers:
        await pusher.send(browser.subscription, MESSAGE)

    assert endpoint.server.connections == 1
    tokens = {each.headers["authorization"] for each in endpoint.server.requests}
    assert len(tokens) == 1


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (200, "delivered", ""),
        (201, "delivered", ""),
        (202, "delivered", ""),
        (404, "gone", "answered 404: the subscription ended"),
        (410, "gone", "answered 410: the subscription ended"),
        (301, "refused", "answered 301"),
        (400, "refused", "answered 400: the request was refused"),
        (401, "refused", "answered 401: the VAPID keys were refused"),
        (403, "refused", "answered 403: the VAPID keys are not those that"),
        (413, "refused", "answered 413: the message is too large"),
        (418, "refused", "answered 418"),
        (408, "later", "answered 408"),
        (425, "later", "answered 425"),
        (429, "later", "answered 429"),
        (500, "later", "answered 500"),
        (503, "later", "answered 503"),
    ],
)
async def test_each_answer_has_its_verdict(
    pusher: WebPusher, endpoint: PushEndpoint, status: int, kind: str, reason: str
) -> None:
    browser = endpoint.browser("secret")
    browser.status = status

    verdict = await pusher.send(browser.subscription, MESSAGE)

    assert verdict.kind == kind
    assert not verdict.malformed
    assert verdict.retry_after_s is None
    if reason:
        assert verdict.reason.startswith(f"127.0.0.1:{endpoint.server.port} {reason}")
    assert "secret" not in verdict.reason


@pytest.mark.parametrize(
    ("text", "least_s", "most_s"),
    [
        ("120", 120, 120),
        (" 7 ", 7, 7),
        ("0", 0, 0),
        (2.0, 7100, 7201),
        (-2.0, 0, 0),
        ("Wed, 21 Oct 2015 07:28:00", 0, 0),
        ("9" * 400, 999_999_999_999, 999_999_999_999),
    ],
)
async def test_wish_to_be_asked_later_is_read(
    pusher: WebPusher, endpoint: PushEndpoint, text: str | float, least_s: float, most_s: float
) -> None:
    """A number stands for a moment so many hours from now."""
    if isinstance(text, float):
        text = format_datetime(datetime.now(UTC) + timedelta(hours=text), usegmt=True)
    browser = endpoint.browser()
    browser.status, browser.headers = 429, {"Retry-After": text}

    verdict = await pusher.send(browser.subscription, MESSAGE)

    assert verdict.retry_after_s is not None
    assert least_s <= verdict.retry_after_s <= most_s


@pytest.mark.parametrize("text", ["soon", "-5", "1.5", "", "٣"])
async def test_wish_that_cannot_be_read_is_none(
    pusher: WebPusher, endpoint: PushEndpoint, text: str
) -> None:
    browser = endpoint.browser()
    browser.status, browser.headers = 503, {"Retry-After": text.encode().decode("latin-1")}

    verdict = await pusher.send(browser.subscription, MESSAGE)

    assert (verdict.kind, verdict.retry_after_s) == ("later", None)


async def test_push_service_that_hangs_is_asked_later(
    pusher: WebPusher, endpoint: PushEndpoint
) -> None:
    browser = endpoint.browser("secret")
    browser.hangs = True
    began = time.monotonic()

    verdict = await pusher.send(browser.subscription, MESSAGE, timeout_s=0.2)

    assert time.monotonic() - began < 4
    assert verdict.kind == "later"
    assert verdict.reason == f"127.0.0.1:{endpoint.server.port}: no answer within 0.2 s"


async def test_push_service_that_is_not_there_is_asked_later(endpoint: PushEndpoint) -> None:
    browser = endpoint.browser()
    async with serving() as away:
        port = away.port
    pusher = WebPusher(endpoint.keys, policy=EgressPolicy(["127.0.0.1"]))
    held = browser.subscription
    gone = Subscription(
        endpoint=f"http://127.0.0.1:{port}/secret", p256dh=held.p256dh, auth=held.auth
    )

    verdict = await pusher.send(gone, MESSAGE)
    await pusher.close()

    assert verdict.kind == "later"
    assert "secret" not in verdict.reason


async def test_answer_without_end_is_not_read_and_not_asked_for_again(
    endpoint: PushEndpoint,
) -> None:
    held = endpoint.browser().subscription
    pusher = WebPusher(endpoint.keys, policy=EgressPolicy(["127.0.0.1"]))
    async with serving(lambda _request: Answer(201, body=b"x" * 100_000)) as server:
        large = Subscription(endpoint=server.url("/a"), p256dh=held.p256dh, auth=held.auth)
        verdict = await pusher.send(large, MESSAGE)
        await pusher.close()

    assert (verdict.kind, verdict.malformed) == ("refused", False)
    assert verdict.reason.endswith("its answer is too large")


async def test_private_address_is_refused_and_never_asked(endpoint: PushEndpoint) -> None:
    browser = endpoint.browser()
    pusher = WebPusher(endpoint.keys)

    verdict = await pusher.send(browser.subscription, MESSAGE)
    await pusher.close()

    assert (verdict.kind, verdict.malformed) == ("refused", False)
    assert "TORIL_EGRESS_ALLOW" in verdict.reason
    assert endpoint.server.connections == 0


@pytest.mark.parametrize("url", ["ftp://host/x", "nothing", "https://[::1", "https://"])
async def test_endpoint_that_is_no_url_is_malformed(
    pusher: WebPusher, endpoint: PushEndpoint, url: str
) -> None:
    held = endpoint.browser().subscription

    verdict = await pusher.send(
        Subscription(endpoint=url, p256dh=held.p256dh, auth=held.auth), MESSAGE
    )

    assert (verdict.kind, verdict.malformed) == ("refused", True)


def test_token_is_kept_until_shortly_before_its_end(clock: ManualClock) -> None:
    keys = VapidKeys.generate("mailto:a@example.com")
    tokens = VapidTokens(keys, clock=clock)
    first = tokens.authorization("https://push.example/a")

    clock.advance(TOKEN_S - RENEW_S - 1)
    same = tokens.authorization("https://push.example/b?c")
    clock.advance(1)
    other = tokens.authorization("https://push.example/a")

    assert same == first
    assert other != first


def test_clock_that_is_put_back_makes_a_new_token(clock: ManualClock) -> None:
    """A token that ends in more than 24 h is refused."""
    tokens = VapidTokens(VapidKeys.generate("mailto:a@example.com"), clock=clock)
    clock.advance(100_000)
    first = tokens.authorization("https://push.example/a")

    clock.jump_calendar(-100_000)

    assert tokens.authorization("https://push.example/a") != first


def test_token_is_for_one_push_service() -> None:
    keys = VapidKeys.generate("https://example.com/contact")
    tokens = VapidTokens(keys)

    for endpoint, audience in (
        ("https://PUSH.example/a/b", "https://push.example"),
        ("https://push.example:8443/a", "https://push.example:8443"),
    ):
        assert token_problem(tokens.authorization(endpoint), keys, audience=audience) is None


def test_tokens_of_no_end_of_push_services_are_not_remembered() -> None:
    tokens = VapidTokens(VapidKeys.generate("mailto:a@example.com"))
    first = tokens.authorization("https://push.example/a")
    for number in range(1000):
        tokens.authorization(f"https://push{number}.example/a")

    assert len(tokens._made) == 1000
    assert tokens.authorization("https://push.example/a") != first
