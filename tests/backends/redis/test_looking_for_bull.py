"""What tells a queue of Bull 4, for how long that is known, and whom it has polled."""

from __future__ import annotations

import json

import pytest
from tests.backends.redis.conftest import Connect
from tests.support.redis_servers import RedisServer

from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.problems import Problems
from toril.backends.redis.queue_register import POLL_S, QueueRegister
from toril.backends.redis.scripts import script
from toril.core.clock import SystemClock
from toril.engine.contract.dispatch import Claim
from toril.version import VERSION

Q = "paint"
NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
SLEEP_S = 12.0
BULLS = {"attempts": 1, "delay": 0, "timestamp": 1}


class Look:
    """Looks at a queue whose keys the test writes."""

    def __init__(self, connect: Connect, server: RedisServer) -> None:
        self._client = connect(server.url)
        self._server = server

    def write(self, command: str, key: str, *words: str | int) -> None:
        """Write a key of the queue."""
        self._server.command(command, f"bull:{Q}:{key}", *words)

    def job(self, job_id: str, name: str, opts: dict[str, int], **fields: str) -> None:
        """Write the hash of a job."""
        self.write("HSET", job_id, "name", name, "data", "{}", "opts", json.dumps(opts))
        for field, value in fields.items():
            self.write("HSET", job_id, field, value)

    async def sees(self, *, at_ms: int = NOW_MS, remember: bool = True) -> bool:
        """Whether Bull is seen."""
        word = "yes" if remember else "no"
        meta = f"bull:{Q}:meta"
        bull, _ = await self._client.run(script("look_for_bull"), [meta], str(at_ms), word)
        return bool(bull)


@pytest.fixture
def look(connect: Connect, server: RedisServer) -> Look:
    return Look(connect, server)


@pytest.mark.parametrize(
    ("command", "key", "words"),
    [
        ("SET", "meta-paused", [1]),
        ("ZADD", "priority", [1, "x"]),
        ("SET", "id", [7]),  # the newest job
        ("LPUSH", "wait", ["7"]),
        ("LPUSH", "wait", ["other", "7"]),
        ("LPUSH", "wait", ["7", "other"]),
        ("LPUSH", "active", ["7"]),
        ("ZADD", "delayed", [1, "7"]),
        ("ZADD", "completed", [1, "other", 2, "7"]),
        ("ZADD", "failed", [1, "7"]),
    ],
)
@pytest.mark.parametrize("name", ["__default__", "named"])
async def test_bull_is_seen(
    look: Look, command: str, key: str, words: list[str | int], name: str
) -> None:
    look.job("7", name, BULLS)
    assert not await look.sees(remember=False)

    look.write(command, key, *words)

    assert await look.sees()


@pytest.mark.parametrize(
    "opts",
    [{}, {"attempts": 0}, {"attempts": 3, "delay": 5}, {"attempts": 3, "timestamp": 5}],
)
async def test_jobs_of_bullmq_are_none_of_bulls(look: Look, opts: dict[str, int]) -> None:
    look.job("7", "cars", opts)
    look.write("SET", "id", 7)
    look.write("LPUSH", "wait", "7")

    assert not await look.sees()


async def test_iterations_of_its_schedulers_are_none(look: Look) -> None:
    look.job("7", "cars", BULLS, rjk="nightly")
    look.write("ZADD", "delayed", 1, "7")

    assert not await look.sees()


async def test_what_was_seen_is_remembered_for_a_day(look: Look, server: RedisServer) -> None:
    look.write("SET", "meta-paused", 1)
    assert await look.sees(remember=False)
    assert server.command("HGET", f"bull:{Q}:meta", "toril:bull") is None, "doctor changes nothing"
    assert await look.sees()
    look.write("DEL", "meta-paused")

    assert await look.sees(at_ms=NOW_MS + DAY_MS)
    assert not await look.sees(at_ms=NOW_MS + DAY_MS + 1)
    assert server.command("HEXISTS", f"bull:{Q}:meta", "toril:bull") == 0


@pytest.mark.parametrize("key", ["id", "wait", "active", "delayed", "completed", "meta", "7"])
async def test_damaged_keys_are_no_sign_and_no_trouble(look: Look, key: str) -> None:
    look.write("SET", "id", 7)
    look.write("DEL", key)
    look.write("PFADD", key, "nonsense")

    assert not await look.sees()
    look.write("SET", "meta-paused", 1)
    assert await look.sees()


@pytest.fixture
def known(connect: Connect, server: RedisServer) -> QueueRegister:
    return QueueRegister(connect(server.url), Keys("bull"), Moments(SystemClock()), Problems())


async def test_queue_that_toril_or_bullmq_has_signed_is_not_polled(
    known: QueueRegister, look: Look
) -> None:
    look.write("HSET", "meta", "version", f"toril:{VERSION}")
    look.write("SET", "id", 5)
    await known.served([Claim(Q, 1, 1000)])

    assert known.poll_s([Q], SLEEP_S) == SLEEP_S


async def test_queue_that_nobody_has_signed_is_polled(known: QueueRegister) -> None:
    await known.served([Claim(Q, 1, 1000)])

    assert known.poll_s(["other", Q], SLEEP_S) == POLL_S
    assert known.poll_s(["other"], SLEEP_S) == SLEEP_S
    assert known.poll_s([Q], 0.2) == 0.2


async def test_queue_is_polled_to_which_a_job_came_that_woke_nobody(
    known: QueueRegister, look: Look
) -> None:
    look.write("HSET", "meta", "version", f"toril:{VERSION}")
    await known.served([Claim(Q, 1, 1000)])
    known.note_silent(Q)
    assert known.poll_s([Q], SLEEP_S) == POLL_S

    await known.forget(Q)
    assert known.poll_s([Q], SLEEP_S) == SLEEP_S
