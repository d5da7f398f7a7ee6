"""Users: their rights are changed while they are signed in, and somebody stays an administrator."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.web.access.calling import PASSWORD, call, control, cookie_of, own

from toril import App, InvalidOptionError, UserConflictError, acting
from toril.engine.contract import Grant, UserRecord
from toril.web.access.control import AccessControl
from toril.web.access.port import Permission, Principal, Role


@pytest.fixture
async def cookie(access: AccessControl) -> str:
    """The cookie of jo, an operator of one queue, who has signed in."""
    await access.users.add("jo", PASSWORD, role="operator", queues=["mail"])
    return cookie_of((await access.sessions.sign_in(own(), "jo", PASSWORD)).set_cookie)


async def rights(access: AccessControl, name: str = "jo") -> tuple[object, ...]:
    (user,) = [one for one in await access.users.list() if one.name == name]
    return user.role, user.queues, user.payloads


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"role": "viewer"}, ("viewer", ("mail",), False)),
        ({"role": Role.ADMIN}, ("admin", ("mail",), False)),
        ({"queues": ["shop-*", "mail", "mail"]}, ("operator", ("shop-*", "mail"), False)),
        ({"queues": None}, ("operator", None, False)),
        ({"payloads": True}, ("operator", ("mail",), True)),
        ({"role": "submitter", "queues": None, "payloads": True}, ("submitter", None, True)),
        ({"role": "operator"}, ("operator", ("mail",), False)),
    ],
)
async def test_rights_are_changed_and_what_is_not_given_stays(
    access: AccessControl, cookie: str, given: dict[str, Any], expected: tuple[object, ...]
) -> None:
    changed = await access.users.change("jo", **given)

    assert changed is not None
    assert (changed.role, changed.queues, changed.payloads) == expected
    assert await access.users.list() == [changed]
    found = await access.identify(call(cookie=cookie))
    assert found == Principal("jo", "user", Role(expected[0]), expected[1], expected[2])


async def test_session_has_other_rights_with_its_next_request(
    access: AccessControl, cookie: str
) -> None:
    assert (await access.identify(call(cookie=cookie))).may(Permission.OPERATE, "mail")

    await access.users.change("jo", role="viewer", queues=["shop"])

    after = await access.identify(call(cookie=cookie))
    assert not after.may(Permission.OPERATE, "mail")
    assert not after.sees("mail")
    assert after.sees("shop")


async def test_link_that_was_made_before_gives_the_rights_of_now(
    access: AccessControl, cookie: str
) -> None:
    link = await access.links.for_user("jo")
    await access.users.change("jo", role="viewer")

    assert (await access.links.use(own(), link)).principal.role == Role.VIEWER


async def test_change_is_recorded_with_before_and_after(
    app: App, access: AccessControl, cookie: str
) -> None:
    with acting("user:ann", "a new team"):
        await access.users.change("jo", role="viewer", queues=None)
        await access.users.change("jo", role="viewer")  # which changes nothing

    (entry,) = (await app.audit.page(verb="users.change")).entries
    assert (entry.actor, entry.reason) == ("user:ann", "a new team")
    assert entry.arguments == {"name": "jo"}
    assert entry.before == {"role": "operator", "queues": ["mail"], "payloads": False}
    assert entry.after == {"role": "viewer", "queues": None, "payloads": False}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "role=None: nothing to change: give at least one of"),
        ({"role": "king"}, "role"),
        ({"queues": []}, "queues"),
        ({"queues": ["a:b"]}, "names of queues"),
        ({"queues": ["*" * 6]}, "names of queues"),
        ({"queues": "mail"}, "a list of names"),
    ],
)
async def test_rights_that_make_no_sense_are_refused(
    app: App, access: AccessControl, cookie: str, given: dict[str, Any], message: str
) -> None:
    with acting("user:ann"), pytest.raises(InvalidOptionError, match=message):
        await access.users.change("jo", **given)

    assert await rights(access) == ("operator", ("mail",), False)
    assert (await app.audit.page(verb="users.change")).entries == []


@pytest.mark.parametrize("name", ["ann", "Jo", "", "jo\n", "x" * 5_000])
async def test_user_that_is_not_there_is_not_changed(access: AccessControl, name: str) -> None:
    assert await access.users.change(name, role="viewer") is None


async def test_name_is_found_however_its_accents_are_typed(access: AccessControl) -> None:
    await access.users.add("j\u00fcrgen", PASSWORD, role="viewer")

    changed = await access.users.change("ju\u0308rgen", role="operator")

    assert changed is not None
    assert changed.name == "j\u00fcrgen"


async def test_change_of_rights_that_somebody_else_has_changed_is_refused(
    access: AccessControl, cookie: str
) -> None:
    (seen,) = await access.users.list()
    now = await access.users.change("jo", queues=["shop"])
    assert now is not None
    assert now.version != seen.version

    with pytest.raises(UserConflictError, match="'jo': somebody has changed") as raised:
        await access.users.change("jo", role="viewer", version=seen.version)

    assert raised.value.code == "changed_meanwhile"
    assert await rights(access) == ("operator", ("shop",), False)
    again = await access.users.change("jo", role="viewer", version=now.version)
    assert again is not None
    assert (again.role, again.queues) == ("viewer", ("shop",))


async def test_password_is_no_other_version(access: AccessControl, cookie: str) -> None:
    (seen,) = await access.users.list()
    await access.users.set_password("jo", "another good password")

    assert await access.users.change("jo", role="viewer", version=seen.version)


async def test_of_many_changes_at_once_each_is_made_or_refused(
    app: App, access: AccessControl, cookie: str
) -> None:
    """Each gives a queue more than there were: none of what is said to be done may be lost."""

    async def give(number: int) -> bool:
        (seen,) = await access.users.list()
        queues = [*(seen.queues or ()), f"q{number}"]
        try:
            await access.users.change("jo", queues=queues, version=seen.version)
        except UserConflictError as error:
            return error.code != "changed_meanwhile"
        return True

    done = await asyncio.gather(*(give(number) for number in range(12)))

    assert any(done)
    (user,) = await access.users.list()
    given = {f"q{number}" for number, was_done in enumerate(done) if was_done}
    assert set(user.queues or ()) == {"mail"} | given


@pytest.mark.parametrize(
    "less", [{"role": "operator"}, {"queues": ["mail"]}, {"role": "viewer", "queues": ["*"]}]
)
async def test_last_administrator_stays_one(
    app: App, access: AccessControl, less: dict[str, Any]
) -> None:
    await access.users.add("jo", PASSWORD, role="admin")
    await access.users.add("part", PASSWORD, role="admin", queues=["mail"])
    await access.keys.add("deploy", role="admin")

    with acting("user:jo"):
        with pytest.raises(UserConflictError, match=r"'jo' is the last one .* another") as raised:
            await access.users.change("jo", **less)
        with pytest.raises(UserConflictError, match="'jo' is the last one"):
            await access.users.remove("jo")

    assert raised.value.code == "last_administrator"
    assert await rights(access) == ("admin", None, False)
    assert (await app.audit.page(actor="user:jo")).entries == []
    assert await access.users.change("jo", payloads=True)
    await access.users.add("ann", PASSWORD, role="admin")
    assert await access.users.change("jo", **less)
    with pytest.raises(UserConflictError, match="'ann' is the last one"):
        await access.users.change("ann", **less)


async def test_last_administrator_is_removed_where_that_is_meant(access: AccessControl) -> None:
    await access.users.add("jo", PASSWORD, role="admin")

    assert await access.users.remove("jo", last=True)

    assert await access.users.list() == []
    assert not await access.users.remove("jo")


async def test_user_of_a_role_that_this_version_does_not_know_is_given_one_it_does(
    app: App, access: AccessControl
) -> None:
    kept = UserRecord("jo", "hash", "stamp", Grant("owner"), 1)
    await app.backend().access.add_user(kept)

    with pytest.raises(InvalidOptionError, match="role"):
        await access.users.change("jo", payloads=True)
    assert await access.users.change("jo", role="viewer")

    assert await rights(access) == ("viewer", None, False)


async def test_two_servers_see_a_change_at_once(app: App, access: AccessControl) -> None:
    other = control(app)
    await access.users.add("jo", PASSWORD, role="operator")
    cookie = cookie_of((await other.sessions.sign_in(own(), "jo", PASSWORD)).set_cookie)
    assert (await other.identify(call(cookie=cookie))).role == Role.OPERATOR

    await access.users.change("jo", role="viewer")

    assert (await other.identify(call(cookie=cookie))).role == Role.VIEWER
