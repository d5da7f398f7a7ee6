"""What every store of notices promises, on each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from toril.core.errors import InvalidOptionError
from toril.services.notices.memory import MemoryNotices
from toril.services.notices.port import Notice, Notices
from toril.services.notices.sql import SqlNotices
from toril.testing.clock import ManualClock


def notice(number: int, user_id: str = "jo", tenant_id: str | None = None) -> Notice:
    return Notice(
        id=f"n{number}", user_id=user_id, tenant_id=tenant_id, title=f"Title {number}", body="Body"
    )


@pytest.fixture
async def notices(database: str | None, clock: ManualClock) -> AsyncIterator[Notices]:
    made: Notices
    made = MemoryNotices(clock=clock) if database is None else SqlNotices(database, clock=clock)
    yield made
    await made.close()


async def test_notice_is_stored_once(notices: Notices, clock: ManualClock) -> None:
    first = await notices.add(
        Notice(id="n1", user_id="jo", type="error", title="T", body="B", metadata={"a": [1, "ü"]})
    )
    clock.advance(1)
    again = await notices.add(Notice(id="n1", user_id="flo", title="Other", body="Other"))

    found = await notices.of_user("jo")
    assert (first, again) == (True, False)
    assert [(one.id, one.type, one.title, one.body, one.metadata) for one in found] == [
        ("n1", "error", "T", "B", {"a": [1, "ü"]})
    ]
    assert found[0].created_at is not None
    assert found[0].read_at is None
    assert await notices.of_user("flo") == []


async def test_newest_come_first_page_by_page(notices: Notices, clock: ManualClock) -> None:
    for number in range(5):
        await notices.add(notice(number))
        clock.advance(number % 2)  # some at the same moment

    pages = []
    after: str | None = None
    while page := await notices.of_user("jo", after=after, limit=2):
        pages.append([one.id for one in page])
        after = page[-1].id

    assert pages == [["n4", "n3"], ["n2", "n1"], ["n0"]]


async def test_tenants_have_users_of_the_same_name(notices: Notices) -> None:
    await notices.add(notice(1))
    await notices.add(notice(2, tenant_id="acme"))
    await notices.add(notice(3, tenant_id="globex"))

    assert [one.id for one in await notices.of_user("jo")] == ["n1"]
    (acme,) = await notices.of_user("jo", tenant_id="acme")
    assert (acme.id, acme.tenant_id) == ("n2", "acme")


async def test_read_notices_are_told_apart(notices: Notices, clock: ManualClock) -> None:
    for number in range(3):
        await notices.add(notice(number))
    await notices.add(notice(9, user_id="flo"))

    marked = await notices.mark_read("jo", "n0", "n1", "n9", "n404")
    again = await notices.mark_read("jo", "n0")
    other = await notices.mark_read("jo", "n2", tenant_id="acme")

    assert (marked, again, other) == (2, 0, 0)
    assert [one.id for one in await notices.of_user("jo", unread=True)] == ["n2"]
    assert [one.read_at is None for one in await notices.of_user("jo")] == [True, False, False]
    assert [one.id for one in await notices.of_user("flo", unread=True)] == ["n9"]


async def test_page_after_an_unknown_notice_is_empty(notices: Notices) -> None:
    await notices.add(notice(1))

    assert await notices.of_user("jo", after="n404") == []


@pytest.mark.parametrize("limit", [0, 501])
async def test_limits_out_of_range_are_refused(notices: Notices, limit: int) -> None:
    with pytest.raises(InvalidOptionError, match=r"1 to 500"):
        await notices.of_user("jo", limit=limit)
    assert await notices.of_user("jo", limit=500) == []
