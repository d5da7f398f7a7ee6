"""What every messenger promises, on each; against servers of the providers' own shapes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from tests.support import messengers as shapes
from tests.support.http_server import Answer
from tests.support.messengers import Provider, as_json, bot_error, provider

from toril.core.errors import InvalidOptionError
from toril.services.http.aio import AioHttpClient
from toril.services.http.egress import EgressPolicy
from toril.services.messengers.chats import MemoryChats, note_update
from toril.services.messengers.memory import MemoryMessenger
from toril.services.messengers.port import (
    Messenger,
    MessengerError,
    MessengerRefusedError,
    MessengerSetupError,
    MessengerUnknownError,
    NoMessenger,
)
from toril.services.messengers.sms import HttpSms, TwilioSms
from toril.services.messengers.sql_chats import SqlChats
from toril.services.messengers.telegram import TelegramMessenger
from toril.services.unusable import UnusableInputError


@dataclass
class Case:
    """A messenger, the server behind it, and receivers."""

    kind: str
    messenger: Messenger
    server: Provider
    good: str
    bad: str


@pytest.fixture(params=["memory", "telegram", "http", "twilio"])
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    if request.param == "memory":
        memory = MemoryMessenger()
        memory.refused["bad"] = "it does not want to hear of us"
        yield Case("memory", memory, Provider(), "good", "bad")
        return
    async with over(request.param) as found:
        yield found


@pytest.fixture(params=["telegram", "http", "twilio"])
async def over_http(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    async with over(request.param) as found:
        yield found


@asynccontextmanager
async def over(kind: str) -> AsyncIterator[Case]:
    http = AioHttpClient(EgressPolicy(["127.0.0.1"]))
    async with provider(kind) as server:
        yield made(kind, http, server)
    await http.close()


def made(kind: str, http: AioHttpClient, server: Provider, *, wrong: bool = False) -> Case:
    url = server.server.url("")
    if kind == "telegram":
        token = shapes.BOT_TOKEN[:-1] + "9" if wrong else shapes.BOT_TOKEN
        return Case(kind, TelegramMessenger(token, http, url=url), server, "77", shapes.BLOCKED)
    key = shapes.SMS_KEY if kind == "http" else shapes.TWILIO_KEY
    make = HttpSms if kind == "http" else TwilioSms
    messenger = make(key + "x" * wrong, http, sender=shapes.SENDER, url=url)
    return Case(kind, messenger, server, "+15551234567", shapes.BAD_NUMBER)


async def test_text_arrives_whole(case: Case) -> None:
    text = "Grüße & <b>100 %</b>\nzweite Zeile 🎉"
    sent = await case.messenger.send(case.good, text, key="k1")
    taken = case.server.taken
    if isinstance(case.messenger, MemoryMessenger):
        taken = [{"to": one.to, "text": one.text} for one in case.messenger.sent]
    assert taken == [{"to": case.good, "text": text}]
    assert sent


async def test_refused_receiver(case: Case) -> None:
    with pytest.raises(MessengerRefusedError):
        await case.messenger.send(case.bad, "Hi", key="k1")


async def test_text_that_cannot_be_sent(case: Case) -> None:
    with pytest.raises(UnusableInputError, match="text: it is empty"):
        await case.messenger.send(case.good, " \n", key="k1")
    with pytest.raises(UnusableInputError, match="make it shorter"):
        await case.messenger.send(case.good, "x" * 4097, key="k1")
    await case.messenger.close()
    await case.messenger.close()


async def test_provider_asks_to_wait(over_http: Case) -> None:
    case = over_http
    wait = as_json(429, {"code": 20429, "message": "Too Many Requests"}, retry_after="7")
    if case.kind == "telegram":
        wait = bot_error(429, "Too Many Requests: retry after 7", retry_after=7)
    case.server.next = [wait]
    with pytest.raises(MessengerError, match="429") as error:
        await case.messenger.send(case.good, "Hi", key="k1")
    assert type(error.value) is MessengerError
    assert error.value.retry_after_s == 7
    await case.messenger.send(case.good, "Hi", key="k1")
    assert len(case.server.taken) == 1


async def test_provider_is_in_trouble(over_http: Case) -> None:
    case = over_http
    for answer in (Answer(status=503, body=b"busy"), Answer(status=302), Answer(status=500)):
        case.server.next = [answer]
        with pytest.raises(MessengerError) as error:
            await case.messenger.send(case.good, "Hi", key="k1")
        assert type(error.value) is MessengerError
        assert error.value.retry_after_s is None


async def test_lost_answer_is_told_apart(over_http: Case) -> None:
    case = over_http
    case.server.next = [Answer(drops=True)]
    with pytest.raises(MessengerUnknownError, match="may have been taken"):
        await case.messenger.send(case.good, "Hi", key="k1")


async def test_wrong_key(over_http: Case) -> None:
    case = over_http
    http = AioHttpClient(EgressPolicy(["127.0.0.1"]))
    wrong = made(case.kind, http, case.server, wrong=True)
    with pytest.raises(MessengerSetupError, match="401"):
        await wrong.messenger.send(case.good, "Hi", key="k1")
    await http.close()


async def test_server_that_is_not_there(over_http: Case) -> None:
    case = over_http
    http = AioHttpClient()  # which may not go to this machine
    refused = made(case.kind, http, case.server)
    with pytest.raises(MessengerError, match="TORIL_EGRESS_ALLOW") as error:
        await refused.messenger.send(case.good, "Hi", key="k1")
    assert type(error.value) is MessengerError
    assert shapes.BOT_TOKEN not in str(error.value)
    await http.close()


async def test_twilio_says_its_codes() -> None:
    http = AioHttpClient(EgressPolicy(["127.0.0.1"]))
    async with provider("twilio") as server:
        case = made("twilio", http, server)
        with pytest.raises(MessengerRefusedError, match="400 21211"):
            await case.messenger.send(shapes.BAD_NUMBER, "Hi", key="k")
        with pytest.raises(MessengerRefusedError, match=r"400 21610 .*unsubscribed"):
            await case.messenger.send(shapes.STOPPED_NUMBER, "Hi", key="k")
    await http.close()


async def test_plain_provider_sends_a_key_once() -> None:
    http = AioHttpClient(EgressPolicy(["127.0.0.1"]))
    async with provider("http") as server:
        case = made("http", http, server)
        ids = [await case.messenger.send(case.good, "Hi", key="k") for _ in range(2)]
    assert ids == ["sms-1", "sms-1"]
    assert len(server.taken) == 1
    await http.close()


@pytest.mark.parametrize("number", ["", "0170 1234567", "+0123456789", "+1555123456789012", "+1 5"])
async def test_numbers_are_international(number: str) -> None:
    sms = HttpSms("k", AioHttpClient(), sender="Shop", url="https://sms.example")
    with pytest.raises(UnusableInputError, match=r"expected a number such as \+49"):
        await sms.send(number, "Hi", key="k")


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda http: TelegramMessenger("no token", http), "token"),
        (lambda http: TelegramMessenger(shapes.BOT_TOKEN, http, url="ftp://x"), "url"),
        (lambda http: HttpSms("", http, sender="S", url="https://x"), "key"),
        (lambda http: HttpSms("k", http, sender="", url="https://x"), "sender"),
        (lambda http: HttpSms("k", http, sender="S", url="x"), "url"),
        (lambda http: TwilioSms("no-colon", http, sender="S"), "key"),
        (lambda http: TwilioSms("a:b", http, sender=""), "sender"),
    ],
)
def test_nonsense_is_refused_when_made(make: object, field: str) -> None:
    with pytest.raises(InvalidOptionError, match=field):
        make(AioHttpClient())  # type: ignore[operator]


async def test_no_messenger_says_what_to_set() -> None:
    with pytest.raises(MessengerSetupError, match="set it"):
        await NoMessenger("set it").send("a", "b", key="k")


@pytest.mark.parametrize(
    ("to", "words"),
    [
        (shapes.BLOCKED, "403 Forbidden: bot was blocked"),
        (shapes.UNKNOWN, "send /start to the bot first"),
        ("@nobody_here", "send /start to the bot first"),
    ],
)
async def test_telegram_refusals(to: str, words: str) -> None:
    http = AioHttpClient(EgressPolicy(["127.0.0.1"]))
    async with provider("telegram") as server:
        case = made("telegram", http, server)
        with pytest.raises(MessengerRefusedError) as error:
            await case.messenger.send(to, "Hi", key="k")
        assert words in str(error.value)
        moved = bot_error(400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-1001)
        server.next = [moved, Answer(status=200, body=b"not JSON")]
        with pytest.raises(MessengerRefusedError, match="its number is -1001"):
            await case.messenger.send("77", "Hi", key="k")
        with pytest.raises(MessengerError, match="not the Bot API's"):
            await case.messenger.send("77", "Hi", key="k")
        with pytest.raises(UnusableInputError, match="expected a chat's number"):
            await case.messenger.send("jo", "Hi", key="k")
    await http.close()


async def test_people_are_known_by_name_once_they_wrote() -> None:
    http = AioHttpClient(EgressPolicy(["127.0.0.1"]))
    chats = MemoryChats()
    async with provider("telegram") as server:
        url = server.server.url("")
        bot = TelegramMessenger(shapes.BOT_TOKEN, http, chats=chats, url=url)
        update = {"message": {"chat": {"id": 77, "type": "private", "username": "Jo_Doe"}}}
        assert await note_update(chats, update)
        await bot.send("@jo_doe", "Hi", key="k")
        await bot.send("@our_channel", "Hi", key="k")
    assert [one["to"] for one in server.taken] == ["77", "@our_channel"]
    await http.close()


@pytest.mark.parametrize(
    "update",
    [
        {},
        {"message": None},
        {"message": {"chat": {"id": 1, "type": "group", "username": "team"}}},
        {"message": {"chat": {"id": 1, "type": "private"}}},
        {"message": {"chat": {"id": "1", "type": "private", "username": "jo"}}},
    ],
)
async def test_other_updates_tell_nobody(update: dict[str, object]) -> None:
    assert not await note_update(MemoryChats(), update)


async def test_chats_are_kept(database: str | None) -> None:
    chats = MemoryChats() if database is None else SqlChats(database)
    await chats.note("Jo", "1")
    await chats.note("jo", "2")
    assert await chats.find("JO") == "2"
    assert await chats.find("flo") is None
    await chats.close()
