"""What every pusher promises, on every adapter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.support.push_endpoint import Browser, PushEndpoint, push_endpoint, text

from toril import InvalidOptionError
from toril.services.http.egress import EgressPolicy
from toril.services.push.folder import FolderPusher
from toril.services.push.memory import MemoryPusher
from toril.services.push.port import MAX_BYTES, Pusher, PushMessage, Subscription, Verdict
from toril.services.push.web_push import WebPusher

MESSAGE = PushMessage(body=b'{"title":"T","body":"B"}')


@dataclass
class Harness:
    """An adapter, and a look at what arrived."""

    pusher: Pusher
    endpoint: PushEndpoint
    arrived: Callable[[Browser], list[bytes]]
    set_verdict: Callable[[Browser, str], None] | None = None
    """Makes the other side answer a kind of verdict. None: this adapter always delivers."""


@pytest.fixture
async def endpoint() -> AsyncIterator[PushEndpoint]:
    async with push_endpoint() as made:
        yield made


@pytest.fixture(params=["web", "memory", "folder"])
async def harness(
    request: pytest.FixtureRequest, endpoint: PushEndpoint, tmp_path: Path
) -> AsyncIterator[Harness]:
    made = {"web": _web, "memory": _memory, "folder": _folder}[request.param](endpoint, tmp_path)
    yield made
    await made.pusher.close()


def _web(endpoint: PushEndpoint, _folder: Path) -> Harness:
    def set_verdict(browser: Browser, kind: str) -> None:
        browser.status = {"gone": 410, "refused": 403, "later": 503, "delivered": 201}[kind]

    pusher = WebPusher(endpoint.keys, policy=EgressPolicy(["127.0.0.1"]))
    return Harness(pusher, endpoint, lambda browser: browser.received, set_verdict)


def _memory(endpoint: PushEndpoint, _folder: Path) -> Harness:
    pusher = MemoryPusher()

    def arrived(browser: Browser) -> list[bytes]:
        return [each.body for to, each in pusher.sent if to.endpoint == browser.endpoint]

    def set_verdict(browser: Browser, kind: str) -> None:
        pusher.verdicts[browser.endpoint] = Verdict(kind=kind, reason="so")  # type: ignore[arg-type]

    return Harness(pusher, endpoint, arrived, set_verdict)


def _folder(endpoint: PushEndpoint, folder: Path) -> Harness:
    def arrived(browser: Browser) -> list[bytes]:
        found = [json.loads(path.read_text()) for path in sorted(folder.glob("out/*.json"))]
        mine = [each["body"] for each in found if each["endpoint"] == browser.endpoint]
        return [json.dumps(body, separators=(",", ":")).encode() for body in mine]

    return Harness(FolderPusher(folder / "out"), endpoint, arrived)


async def test_message_arrives_as_it_was_given(harness: Harness) -> None:
    browser = harness.endpoint.browser()

    verdict = await harness.pusher.send(browser.subscription, MESSAGE)

    assert (verdict.kind, verdict.reason) == ("delivered", "")
    assert harness.arrived(browser) == [MESSAGE.body]


async def test_messages_at_once_arrive_each_at_its_own_browser(harness: Harness) -> None:
    browsers = [harness.endpoint.browser() for _ in range(20)]

    verdicts = await asyncio.gather(
        *(
            harness.pusher.send(browser.subscription, PushMessage(body=b'{"n":%d}' % number))
            for number, browser in enumerate(browsers)
        )
    )

    assert {each.kind for each in verdicts} == {"delivered"}
    for number, browser in enumerate(browsers):
        assert harness.arrived(browser) == [b'{"n":%d}' % number]


@pytest.mark.parametrize("kind", ["gone", "refused", "later"])
async def test_what_is_not_delivered_has_a_reason_and_does_not_arrive(
    harness: Harness, kind: str
) -> None:
    browser, other = harness.endpoint.browser(), harness.endpoint.browser()
    if harness.set_verdict is None:
        return  # a folder takes everything
    harness.set_verdict(browser, kind)

    verdict = await harness.pusher.send(browser.subscription, MESSAGE)
    others = await harness.pusher.send(other.subscription, MESSAGE)

    assert verdict.kind == kind
    assert verdict.reason
    assert harness.arrived(browser) == []
    assert others.kind == "delivered"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("p256dh", "AAAA"),
        ("p256dh", "!"),
        ("p256dh", text(b"\x04" + b"\x01" * 64)),
        ("p256dh", ""),
        ("auth", text(b"short")),
        ("auth", text(b"x" * 17)),
        ("auth", "ä"),
    ],
)
async def test_malformed_key_is_refused_by_name(harness: Harness, field: str, value: str) -> None:
    browser = harness.endpoint.browser()
    broken: Subscription = replace(browser.subscription, **{field: value})

    verdict = await harness.pusher.send(broken, MESSAGE)

    assert (verdict.kind, verdict.malformed) == ("refused", True)
    assert verdict.reason.startswith(f"keys.{field}: expected ")
    assert harness.arrived(browser) == []


async def test_pusher_may_be_used_again_after_it_was_closed(harness: Harness) -> None:
    browser = harness.endpoint.browser()
    await harness.pusher.send(browser.subscription, MESSAGE)
    await harness.pusher.close()

    verdict = await harness.pusher.send(browser.subscription, MESSAGE)

    assert verdict.kind == "delivered"
    assert len(harness.arrived(browser)) == 2


async def test_largest_message_arrives(harness: Harness) -> None:
    browser = harness.endpoint.browser()
    largest = PushMessage(body=b'"' + b"x" * (MAX_BYTES - 2) + b'"')

    verdict = await harness.pusher.send(browser.subscription, largest)

    assert verdict.kind == "delivered"
    assert harness.arrived(browser) == [largest.body]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("body", b"x" * (MAX_BYTES + 1), r"body='\(3994 bytes\)': expected at most 3993 bytes"),
        ("ttl_s", -1, "ttl_s=-1: expected whole seconds, from 0"),
        ("ttl_s", 1.5, "ttl_s=1.5: expected whole seconds"),
        ("urgency", "at once", "urgency='at once': expected one of very-low, low, normal, high"),
        ("topic", "a b", "topic='a b': expected 1 to 32 of letters"),
        ("topic", "x" * 33, "topic="),
    ],
)
def test_message_that_no_push_service_takes_is_refused(
    field: str, value: object, message: str
) -> None:
    given: dict[str, object] = {"body": b"{}", field: value}

    with pytest.raises(InvalidOptionError, match=message):
        PushMessage(**given)  # type: ignore[arg-type]


def test_secrets_of_a_subscription_are_not_printed(endpoint: PushEndpoint) -> None:
    held = endpoint.browser("secret-path").subscription

    shown = repr(held)

    assert "secret-path" not in shown
    assert held.p256dh not in shown
    assert held.auth not in shown
