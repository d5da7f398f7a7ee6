"""Settings of push work, and sending and subscribing without a queue."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.push_endpoint import Browser, PushEndpoint, push_endpoint

from toril import InvalidOptionError, InvalidSettingError
from toril.library.push import PushPayload, PushService, PushSettings
from toril.services.push.memory import MemoryPusher
from toril.services.push.memory_subscriptions import MemorySubscriptions
from toril.services.push.vapid import VapidKeys
from toril.services.unusable import UnusableInputError

KEYS = VapidKeys.generate("mailto:ops@example.com")
OTHER = VapidKeys.generate("mailto:ops@example.com")
ENVIRON = {
    "VAPID_PUBLIC_KEY": KEYS.public_key,
    "VAPID_PRIVATE_KEY": KEYS.private_key,
    "VAPID_SUBJECT": KEYS.subject,
}
PAYLOAD = PushPayload(title="T", body="B", url="/x")


@pytest.fixture
async def endpoint() -> AsyncIterator[PushEndpoint]:
    async with push_endpoint() as made:
        yield made


@pytest.fixture
async def service(endpoint: PushEndpoint) -> AsyncIterator[PushService]:
    settings = PushSettings(vapid=endpoint.keys, egress_allow=("127.0.0.1",))
    async with PushService(settings, subscriptions=MemorySubscriptions()) as made:
        yield made


def test_settings_of_the_environment_are_read() -> None:
    found = PushSettings.from_environment({
        **ENVIRON,
        "PUSH_TTL": "60",
        "PUSH_URGENCY": "high",
        "PUSH_TIMEOUT": "2.5",
        "PUSH_CONCURRENCY": "7",
        "PUSH_FOLDER": "out",
        "PUSH_DATABASE_URL": "postgresql://host/db",
        "TORIL_EGRESS_ALLOW": " push.internal, 10.0.0.0/8,",
    })  # fmt: skip

    assert found == PushSettings(
        vapid=KEYS,
        ttl_s=60,
        urgency="high",
        timeout_s=2.5,
        concurrency=7,
        folder=Path("out"),
        database_url="postgresql://host/db",
        egress_allow=("push.internal", "10.0.0.0/8"),
    )


def test_names_of_the_wild_are_read_beside_ours() -> None:
    environ = {
        "NEXT_PUBLIC_VAPID_PUBLIC_KEY": KEYS.public_key,
        "VAPID_PRIVATE_KEY": KEYS.private_key,
        "NEXT_PUBLIC_VAPID_SUBJECT": KEYS.subject,
    }

    assert PushSettings.from_environment(environ).vapid == KEYS
    ours_first = {**environ, **ENVIRON, "NEXT_PUBLIC_VAPID_PUBLIC_KEY": OTHER.public_key}
    assert PushSettings.from_environment(ours_first).vapid == KEYS


def test_nothing_set_means_defaults() -> None:
    empty = dict.fromkeys([*ENVIRON, "PUSH_TTL", "PUSH_FOLDER"], " ")

    assert (
        PushSettings.from_environment(empty) == PushSettings() == PushSettings.from_environment({})
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"VAPID_PUBLIC_KEY": ""}, r"VAPID_PUBLIC_KEY is not set, but VAPID_PRIVATE_KEY is"),
        ({"VAPID_PRIVATE_KEY": ""}, r"VAPID_PRIVATE_KEY is not set, but VAPID_PUBLIC_KEY is"),
        ({"VAPID_SUBJECT": ""}, r"VAPID_SUBJECT is not set: set it to whom"),
        ({"VAPID_SUBJECT": "ops"}, r"VAPID_SUBJECT='ops': expected whom"),
        (
            {"VAPID_SUBJECT": "", "NEXT_PUBLIC_VAPID_SUBJECT": "ops"},
            r"NEXT_PUBLIC_VAPID_SUBJECT='ops'",
        ),
        (
            {"VAPID_PUBLIC_KEY": OTHER.public_key},
            r"VAPID_PUBLIC_KEY and VAPID_PRIVATE_KEY are no pair",
        ),
        (
            {"VAPID_PUBLIC_KEY": "", "NEXT_PUBLIC_VAPID_PUBLIC_KEY": OTHER.public_key},
            r"NEXT_PUBLIC_VAPID_PUBLIC_KEY and VAPID_PRIVATE_KEY are no pair",
        ),
        ({"VAPID_PRIVATE_KEY": "x"}, r"VAPID_PRIVATE_KEY: expected a private key of P-256"),
        ({"PUSH_TTL": "1.5"}, r"PUSH_TTL='1\.5': expected a number"),
        ({"PUSH_TTL": "-1"}, r"PUSH_TTL='-1': ttl_s=-1: expected whole seconds"),
        ({"PUSH_TIMEOUT": "31"}, r"PUSH_TIMEOUT='31': timeout_s=31\.0: expected seconds, 1 to 30"),
        ({"PUSH_TIMEOUT": "nan"}, r"PUSH_TIMEOUT='nan'"),
        ({"PUSH_CONCURRENCY": "0"}, r"PUSH_CONCURRENCY='0': concurrency=0: expected an integer"),
        ({"PUSH_URGENCY": "now"}, r"PUSH_URGENCY='now': urgency='now': expected one of very-low"),
        ({"TORIL_EGRESS_ALLOW": "http://x"}, r"TORIL_EGRESS_ALLOW='http://x'"),
    ],
)  # fmt: skip
def test_setting_that_makes_no_sense_is_named(change: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidSettingError, match=f"^{message}") as refused:
        PushSettings.from_environment({**ENVIRON, **change})

    assert KEYS.private_key not in str(refused.value)


def test_private_key_and_database_are_not_printed() -> None:
    shown = repr(PushSettings(vapid=KEYS, database_url="postgresql://u:secret@host/db"))

    assert KEYS.private_key not in shown
    assert "secret" not in shown


def test_relative_places_mean_the_folder_where_they_were_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    found = PushSettings(folder=Path("out"), database_url="sqlite:///push.db?timeout=5")

    assert found.folder == tmp_path / "out"
    assert found.database_url == f"sqlite:///{tmp_path}/push.db?timeout=5"


async def test_browser_subscribes_is_told_and_unsubscribes(
    service: PushService, endpoint: PushEndpoint
) -> None:
    browser = endpoint.browser()

    await service.subscribe("b", browser.json)
    verdicts = await service.send("b", PAYLOAD)
    removed = await service.unsubscribe("b", browser.endpoint)

    assert [verdict.kind for verdict in verdicts] == ["delivered"]
    assert browser.messages == [{"title": "T", "body": "B", "url": "/x"}]
    assert removed
    assert await service.send("b", PAYLOAD) == []
    assert service.public_key == endpoint.keys.public_key


async def test_ended_subscription_is_removed_without_a_queue_as_well(
    service: PushService, endpoint: PushEndpoint
) -> None:
    gone, good = endpoint.browser(), endpoint.browser()
    gone.status = 410
    for browser in (gone, good):
        await service.subscribe("b", browser.json)

    verdicts = await service.send("b", PAYLOAD)

    assert sorted(verdict.kind for verdict in verdicts) == ["delivered", "gone"]
    assert [one.endpoint for one in await service.subscriptions.of_user("b")] == [good.endpoint]


async def test_what_is_no_subscription_is_not_stored(
    service: PushService, endpoint: PushEndpoint
) -> None:
    given = endpoint.browser().json
    given["keys"]["auth"] = "x"

    with pytest.raises(InvalidOptionError, match=r"^keys\.auth"):
        await service.subscribe("b", given)
    with pytest.raises(InvalidOptionError, match=r"^endpoint: .*TORIL_EGRESS_ALLOW"):
        await service.subscribe("b", Browser("https://10.0.0.1/x").json)

    assert list(await service.subscriptions.of_user("b")) == []


async def test_without_keys_messages_go_to_a_folder(tmp_path: Path) -> None:
    settings = PushSettings(
        folder=tmp_path / "push",
        database_url=f"sqlite:///{tmp_path}/push.db",
        egress_allow=("push.example",),
    )
    async with PushService(settings) as service:
        await service.subscribe("b", Browser("https://push.example/1").json)
        await service.send("b", PAYLOAD)
        with pytest.raises(InvalidOptionError, match=r"^VAPID_PUBLIC_KEY is not set: browsers"):
            _ = service.public_key

    (file,) = (tmp_path / "push").glob("*.json")
    assert json.loads(file.read_text()) == {
        "endpoint": "https://push.example/1",
        "ttl": 86400,
        "urgency": "normal",
        "topic": None,
        "body": {"title": "T", "body": "B", "url": "/x"},
    }


async def test_message_carries_the_settings_limits() -> None:
    service = PushService(
        PushSettings(ttl_s=60, urgency="high"),
        pusher=MemoryPusher(),
        subscriptions=MemorySubscriptions(),
    )

    message = service.message(PAYLOAD, {"title": "other", "vibrate": [1]})

    assert (message.ttl_s, message.urgency) == (60, "high")
    assert json.loads(message.body) == {"title": "T", "body": "B", "url": "/x", "vibrate": [1]}
    with pytest.raises(UnusableInputError, match="without its body"):
        service.message(PAYLOAD, {"vibrate": "x" * 4000})
