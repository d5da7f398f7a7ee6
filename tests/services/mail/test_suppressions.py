"""The promises of a suppression list, kept in memory, SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from toril.core.errors import InvalidOptionError
from toril.services.mail.bounces import is_hard_bounce
from toril.services.mail.port import Refusal
from toril.services.mail.sql_suppressions import SqlSuppressions
from toril.services.mail.suppressions import MemorySuppressions, Suppressions


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def suppressions(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Suppressions]:
    match request.param:
        case "memory":
            made: Suppressions = MemorySuppressions()
        case "sqlite":
            made = SqlSuppressions(f"sqlite:///{tmp_path}/in/email.db")
        case _:
            made = SqlSuppressions(request.getfixturevalue("postgres_url"))
            for address in ("jo@example.com", "al@example.com"):
                await made.remove(address)
    yield made
    await made.close()


async def test_address_is_found_whatever_its_case_and_name(suppressions: Suppressions) -> None:
    await suppressions.add("Jo <Jo@Example.com>", "bounced", detail="550 no such user")
    await suppressions.add("jo@example.com", "unsubscribed")

    found = await suppressions.find(["JO@example.com", "J <jo@EXAMPLE.com>", "al@example.com"])

    assert sorted(found) == ["J <jo@EXAMPLE.com>", "JO@example.com"]
    entry = found["JO@example.com"]
    assert (entry.address, entry.reason, entry.detail) == (
        "jo@example.com", "bounced", "550 no such user",
    )  # fmt: skip
    assert entry.since.utcoffset() is not None


async def test_address_may_be_taken_off(suppressions: Suppressions) -> None:
    await suppressions.add("al@example.com", "unsubscribed")

    assert await suppressions.remove("AL@example.com") is True
    assert await suppressions.remove("al@example.com") is False
    assert await suppressions.find(["al@example.com"]) == {}
    assert await suppressions.find([]) == {}


async def test_many_addresses_are_looked_for_at_once(suppressions: Suppressions) -> None:
    await suppressions.add("jo@example.com", "complained")

    found = await suppressions.find([*(f"u{i}@example.com" for i in range(2500)), "jo@example.com"])

    assert list(found) == ["jo@example.com"]


async def test_unknown_reason_is_refused(suppressions: Suppressions) -> None:
    with pytest.raises(InvalidOptionError, match="reason='bored'"):
        await suppressions.add("jo@example.com", "bored")  # type: ignore[arg-type]


async def test_list_survives_its_process(tmp_path: Path) -> None:
    make: Callable[[], SqlSuppressions] = lambda: SqlSuppressions(  # noqa: E731 - twice the same
        f"sqlite:///{tmp_path}/email.db"
    )
    first = make()
    await first.add("jo@example.com", "bounced")
    await first.close()
    second = make()
    assert list(await second.find(["jo@example.com"])) == ["jo@example.com"]
    await second.close()


@pytest.mark.parametrize("url", ["", "sqlite://", "mysql://a:hunter2@b/c", "::hunter2::"])
def test_database_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(InvalidOptionError, match="database_url") as refused:
        SqlSuppressions(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(("code", "text", "hard"), [
    (550, "5.1.1 no such user", True),
    (550, "no such user", True),
    (551, "moved", True),
    (553, "5.1.3 bad address", True),
    (554, "5.2.1 disabled", True),
    (556, "5.1.10 no mail here", True),
    (550, "5.7.1 looks like spam", False),
    (552, "5.2.2 mailbox full", False),
    (554, "rejected", False),
    (450, "4.2.1 later", False),
    (451, "the text says 5.1.1, the code does not", False),
])  # fmt: skip
def test_hard_bounce_is_told_from_other_refusals(code: int, text: str, hard: bool) -> None:
    assert is_hard_bounce(Refusal(code, text)) is hard
