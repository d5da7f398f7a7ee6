"""Sessions: how they begin and end, and what stolen, planted and foreign ones are worth."""

from __future__ import annotations

import asyncio
import logging

import pytest
from argon2 import PasswordHasher
from tests.web.access.calling import HOME, PASSWORD, call, control, cookie_of, own

from toril import App, InvalidOptionError
from toril.testing.clock import ManualClock
from toril.web.access.control import AccessControl
from toril.web.access.passwords import Passwords
from toril.web.access.port import CrossOrigin, Principal, Role, Throttled, Unauthenticated
from toril.web.access.sessions import SignedIn

JO = Principal("jo", "user", Role.OPERATOR, ("mail",), True)


@pytest.fixture
async def jo(access: AccessControl) -> SignedIn:
    """A user who has signed in."""
    await access.users.add("jo", PASSWORD, role="operator", queues=["mail"], payloads=True)
    return await access.sessions.sign_in(own(), "jo", PASSWORD)


async def known(access: AccessControl, cookie: str, **more: str) -> bool:
    """Whether a cookie is somebody's."""
    try:
        await access.identify(call(cookie=cookie, **more))
    except Unauthenticated:
        return False
    return True


async def test_session_is_who_has_signed_in(access: AccessControl, jo: SignedIn) -> None:
    assert jo.principal == JO

    assert await access.identify(call(cookie=cookie_of(jo.set_cookie))) == JO


async def test_cookie_is_for_this_host_alone_and_no_script_reads_it(jo: SignedIn) -> None:
    name, *attributes = jo.set_cookie.split("; ")

    assert name.startswith("__Host-toril=")
    assert len(name) == len("__Host-toril=") + 43
    assert attributes == ["Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Lax", "Secure"]


async def test_without_tls_the_cookie_has_a_plain_name(access: AccessControl, jo: SignedIn) -> None:
    plain = await access.sessions.sign_in(own(scheme="http"), "jo", PASSWORD)

    assert plain.set_cookie.startswith("toril=")
    assert "Secure" not in plain.set_cookie
    assert await known(access, cookie_of(plain.set_cookie), scheme="http")
    # Over TLS anybody in the domain could have planted one of that name.
    assert not await known(access, cookie_of(plain.set_cookie))


async def test_operator_may_say_that_browsers_come_by_tls(app: App) -> None:
    access = control(app, secure_cookies=True)
    await access.users.add("jo", PASSWORD, role="viewer")

    begun = await access.sessions.sign_in(own(scheme="http"), "jo", PASSWORD)

    assert begun.set_cookie.startswith("__Host-toril=")
    assert await known(access, cookie_of(begun.set_cookie), scheme="http")


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("jo", "another password"),
        ("jo", ""),
        ("ann", PASSWORD),
        ("", PASSWORD),
        ("jo\n", PASSWORD),
        ("j" * 5_000, PASSWORD),
        ("jo", "x" * 5_000),
        ("jo", "\ud800" * 12),
    ],
)
async def test_wrong_name_and_wrong_password_are_one_answer(
    access: AccessControl, jo: SignedIn, name: str, password: str
) -> None:
    with pytest.raises(Unauthenticated) as raised:
        await access.sessions.sign_in(own(), name, password)

    assert str(raised.value) == "there is no such user, or the password is another one"


async def test_hash_is_checked_for_unknown_users_too(app: App) -> None:
    """Else the time would tell who there is."""
    cheap = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
    passwords = Passwords(cheap)

    assert not await passwords.verify(None, PASSWORD)

    decoy = passwords._decoy
    assert decoy is not None
    assert decoy.rsplit("$", 2)[0] == cheap.hash("x").rsplit("$", 2)[0], "the same costs"
    assert not await passwords.verify(None, "nobody's password")


async def test_cookie_of_before_the_sign_in_is_worth_nothing_after_it(
    access: AccessControl, jo: SignedIn
) -> None:
    """Fixation: somebody plants a cookie and waits until the victim signs in with it."""
    planted = "__Host-toril=" + "A" * 43
    begun = await access.sessions.sign_in(own(cookie=planted), "jo", PASSWORD)

    assert cookie_of(begun.set_cookie) != planted
    assert not await known(access, planted)


async def test_own_session_of_an_attacker_ends_when_a_victim_signs_in_over_it(
    access: AccessControl, jo: SignedIn
) -> None:
    await access.users.add("eve", PASSWORD, role="viewer")
    eve = cookie_of((await access.sessions.sign_in(own(), "eve", PASSWORD)).set_cookie)

    begun = await access.sessions.sign_in(own(cookie=eve), "jo", PASSWORD)

    assert not await known(access, eve)
    assert await access.identify(call(cookie=cookie_of(begun.set_cookie))) == JO


async def test_stolen_session_ends_with_the_sign_out(access: AccessControl, jo: SignedIn) -> None:
    cookie = cookie_of(jo.set_cookie)
    assert await known(access, cookie, place="203.0.113.9")

    cleared = await access.sessions.sign_out(own(cookie=cookie))

    assert cleared.startswith("__Host-toril=; ")
    assert "Max-Age=0" in cleared
    assert not await known(access, cookie, place="203.0.113.9")
    assert not await known(access, cookie)


async def test_stolen_session_ends_with_the_password(access: AccessControl, jo: SignedIn) -> None:
    cookie = cookie_of(jo.set_cookie)

    assert await access.users.set_password("jo", "another password of jo")

    assert not await known(access, cookie)
    assert await access.sessions.sign_in(own(), "jo", "another password of jo")
    with pytest.raises(Unauthenticated):
        await access.sessions.sign_in(own(), "jo", PASSWORD)


async def test_session_ends_with_its_user_also_if_the_name_comes_again(
    access: AccessControl, jo: SignedIn
) -> None:
    cookie = cookie_of(jo.set_cookie)

    assert await access.users.remove("jo")
    assert not await known(access, cookie)

    await access.users.add("jo", PASSWORD, role="admin")
    assert not await known(access, cookie)


async def test_session_expires_however_much_it_is_used(
    access: AccessControl, jo: SignedIn, clock: ManualClock
) -> None:
    cookie = cookie_of(jo.set_cookie)
    for _ in range(12):
        assert await known(access, cookie)
        clock.advance(3599)
    assert await known(access, cookie)

    clock.advance(12)

    assert not await known(access, cookie)


async def test_session_of_a_key_lives_as_long_as_the_key(
    access: AccessControl, clock: ManualClock
) -> None:
    key = await access.keys.add("deploy", role="viewer", expires=600)
    cookie = cookie_of((await access.sessions.sign_in_with_key(own(), key)).set_cookie)
    assert (await access.identify(call(cookie=cookie))).name == "deploy"
    assert key not in cookie

    clock.advance(600)
    assert not await known(access, cookie)

    again = await access.keys.add("other", role="viewer")
    cookie = cookie_of((await access.sessions.sign_in_with_key(own(), again)).set_cookie)
    await access.keys.remove("other")
    await access.keys.add("other", role="admin")
    assert not await known(access, cookie)


async def test_store_holds_no_cookie_and_no_password(
    app: App, access: AccessControl, jo: SignedIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = cookie_of(jo.set_cookie).partition("=")[2]
    with pytest.raises(Unauthenticated):
        await access.sessions.sign_in(own(), "jo", "hunter2-hunter2")
    with pytest.raises(Unauthenticated):
        await access.sessions.sign_in(own(), "swordfish-typed-too-early", "")

    backend = app.backend()
    lines = [line.text for line in await backend.audit.page(before=None, limit=100)]
    assert caplog.text.count("was refused, from 192.0.2.1") == 2
    kept = repr(await backend.access.users()) + repr(lines) + caplog.text
    for secret in (token, PASSWORD, "hunter2", "swordfish"):
        assert secret not in kept
    assert await backend.access.find_session(token) is None


async def test_begin_of_a_session_is_recorded(app: App, jo: SignedIn) -> None:
    (entry,) = (await app.audit.page()).entries

    assert (entry.verb, entry.actor) == ("sessions.begin", "user:jo")
    assert entry.arguments == {"place": "192.0.2.1"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "LOCK"])
@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"sec_fetch_site": "cross-site", "origin": HOME},
        {"origin": "https://evil.example"},
        {"origin": "https://jobs.example.evil.example"},
        {"origin": "https://jobs.example:8443"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "https://", "host": ""},
        {"referer": f"{HOME}/queues"},
        {},
    ],
)
async def test_session_does_not_count_for_a_page_of_another_site(
    access: AccessControl, jo: SignedIn, method: str, headers: dict[str, str]
) -> None:
    cookie = cookie_of(jo.set_cookie)

    with pytest.raises(CrossOrigin) as raised:
        await access.identify(call(method, cookie=cookie, **headers))

    assert (raised.value.status, raised.value.code) == (403, "cross_origin")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "same-origin", "origin": HOME},
        {"origin": HOME},
        {"origin": "http://jobs.example:8000", "host": "Jobs.Example:8000"},
    ],
)
async def test_session_counts_for_pages_of_the_server(
    access: AccessControl, jo: SignedIn, headers: dict[str, str]
) -> None:
    cookie = cookie_of(jo.set_cookie)

    assert await access.identify(call("POST", cookie=cookie, **headers)) == JO


async def test_session_does_not_count_for_a_socket_of_another_site(
    access: AccessControl, jo: SignedIn
) -> None:
    """A browser lets any site open one, and read what it says."""
    cookie = cookie_of(jo.set_cookie)
    with pytest.raises(CrossOrigin):
        await access.identify(
            call(kind="websocket", scheme="wss", cookie=cookie, origin="https://evil.example")
        )
    assert (
        await access.identify(call(kind="websocket", scheme="wss", cookie=cookie, origin=HOME))
        == JO
    )


async def test_origins_that_are_trusted_may_use_the_session(app: App) -> None:
    access = control(app, trusted_origins=["https://ops.example"])
    await access.users.add("jo", PASSWORD, role="viewer")
    begun = await access.sessions.sign_in(own(), "jo", PASSWORD)
    cookie = cookie_of(begun.set_cookie)

    trusted = call("POST", cookie=cookie, sec_fetch_site="same-site", origin="https://ops.example")
    assert (await access.identify(trusted)).name == "jo"
    with pytest.raises(CrossOrigin):
        await access.identify(
            call("POST", cookie=cookie, sec_fetch_site="same-site", origin="http://ops.example")
        )


@pytest.mark.parametrize("origin", ["*", "ops.example", "https://ops.example/", "https://*.x"])
def test_origin_that_is_none_is_refused(app: App, origin: str) -> None:
    with pytest.raises(InvalidOptionError, match="trusted_origins"):
        control(app, trusted_origins=[origin])


async def test_key_needs_no_origin(access: AccessControl) -> None:
    """No page of another site can send one that it does not know."""
    key = await access.keys.add("deploy", role="operator")

    found = await access.identify(call("POST", key=key, sec_fetch_site="cross-site"))

    assert found.name == "deploy"


async def test_key_goes_before_a_session(access: AccessControl, jo: SignedIn) -> None:
    """What was said on purpose counts, and a wrong key is not made good by a cookie."""
    cookie = cookie_of(jo.set_cookie)
    key = await access.keys.add("deploy", role="viewer")

    assert (await access.identify(call(key=key, cookie=cookie))).name == "deploy"
    with pytest.raises(Unauthenticated):
        await access.identify(call(key="wrong", cookie=cookie))


@pytest.mark.parametrize("verb", ["sign_in", "sign_in_with_key", "sign_out"])
async def test_other_sites_neither_begin_nor_end_a_session(
    access: AccessControl, jo: SignedIn, verb: str
) -> None:
    """A victim who is signed in as the attacker does the attacker's work."""
    cookie = cookie_of(jo.set_cookie)
    key = await access.keys.add("deploy", role="viewer")
    given = {"sign_in": ("jo", PASSWORD), "sign_in_with_key": (key,), "sign_out": ()}[verb]

    with pytest.raises(CrossOrigin):
        await getattr(access.sessions, verb)(
            call("POST", cookie=cookie, sec_fetch_site="cross-site"), *given
        )

    assert await known(access, cookie)


async def test_wrong_passwords_are_throttled_and_right_ones_meanwhile_too(
    access: AccessControl, jo: SignedIn, clock: ManualClock
) -> None:
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await access.sessions.sign_in(own(), "jo", "a wrong password")

    for password in ("a wrong password", PASSWORD):
        with pytest.raises(Throttled) as raised:
            await access.sessions.sign_in(own(), "jo", password)
        assert 1 <= raised.value.retry_after_s <= 61

    # From elsewhere, and with the session that there is, jo goes on.
    assert await access.sessions.sign_in(own(place="192.0.2.7"), "jo", PASSWORD)
    assert await known(access, cookie_of(jo.set_cookie))
    clock.advance(60)
    assert await access.sessions.sign_in(own(), "jo", PASSWORD)


async def test_guesses_at_once_are_counted_before_they_are_checked(
    access: AccessControl, jo: SignedIn
) -> None:
    """A hash takes its time: counted afterwards, all of these would have been checked."""
    done = await asyncio.gather(
        *(access.sessions.sign_in(own(), "jo", f"wrong password {n}") for n in range(50)),
        return_exceptions=True,
    )

    kinds = [type(one) for one in done]
    assert kinds.count(Unauthenticated) == 5
    assert kinds.count(Throttled) == 45


async def test_guesses_for_many_names_and_from_many_places_are_throttled(
    access: AccessControl, jo: SignedIn
) -> None:
    def kinds(done: list[object]) -> int:
        return sum(isinstance(one, Throttled) for one in done)

    async def guess(name: str, place: str) -> object:
        try:
            return await access.sessions.sign_in(own(place=place), name, "a wrong password")
        except (Throttled, Unauthenticated) as error:
            return error

    names = [await guess(f"user{n}", "198.51.100.1") for n in range(30)]
    places = [await guess("jo", f"198.51.{n}.2") for n in range(60)]

    assert kinds(names) == 10
    assert kinds(places) == 10


async def test_right_passwords_are_not_counted(access: AccessControl, jo: SignedIn) -> None:
    for _ in range(30):
        assert await access.sessions.sign_in(own(), "jo", PASSWORD)


async def test_nobody_fills_the_store_with_sessions(
    access: AccessControl, clock: ManualClock
) -> None:
    """Each is kept for hours, and a key begins one in no time."""
    key = await access.keys.add("deploy", role="viewer")
    for _ in range(100):
        await access.sessions.sign_in_with_key(own(), key)

    with pytest.raises(Throttled):
        await access.sessions.sign_in_with_key(own(), key)

    assert (await access.identify(call(key=key))).name == "deploy"
    clock.advance(30)
    assert await access.sessions.sign_in_with_key(own(), key)


async def test_more_guesses_than_the_machine_can_check_are_told_to_come_back(
    access: AccessControl, jo: SignedIn
) -> None:
    """Each hash takes memory; nobody may have the server run out of it."""
    done = await asyncio.gather(
        *(
            access.sessions.sign_in(own(place=f"198.51.{n}.1"), f"user{n}", "a wrong password")
            for n in range(40)
        ),
        return_exceptions=True,
    )

    assert {type(one) for one in done} == {Unauthenticated, Throttled}
    assert await access.sessions.sign_in(own(), "jo", PASSWORD)


async def test_sign_in_that_could_not_be_checked_is_not_counted(
    access: AccessControl, jo: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as busy:
        busy.setattr("toril.web.access.passwords.AT_ONCE", 0)
        busy.setattr("toril.web.access.passwords.WAITING", 0)
        for _ in range(30):
            with pytest.raises(Throttled):
                await access.sessions.sign_in(own(), "jo", PASSWORD)

    assert await access.sessions.sign_in(own(), "jo", PASSWORD)


async def test_wrong_cookies_are_throttled(access: AccessControl, jo: SignedIn) -> None:
    for number in range(10):
        assert not await known(access, f"__Host-toril={number:043}")
    with pytest.raises(Throttled):
        await known(access, "__Host-toril=" + "x" * 43)
    assert await known(access, "__Host-toril=" + "x" * 43, place="192.0.2.8") is False


@pytest.mark.parametrize("password", ["short", "x" * 11, "x" * 1025, "\ud800" * 20])
async def test_password_that_will_not_do_is_refused_and_not_repeated(
    access: AccessControl, password: str
) -> None:
    with pytest.raises(InvalidOptionError, match="password: expected") as raised:
        await access.users.add("jo", password, role="viewer")
    assert password not in str(raised.value)
    assert await access.users.list() == []


async def test_password_and_name_are_the_same_in_either_form_of_unicode(
    access: AccessControl,
) -> None:
    """Keyboards differ in how they type an ü."""
    await access.users.add("ju\u0308rgen", "mu\u0308nchen ist scho\u0308n", role="viewer")

    begun = await access.sessions.sign_in(own(), "j\u00fcrgen", "m\u00fcnchen ist sch\u00f6n")

    assert begun.principal.name == "j\u00fcrgen"


async def test_hash_of_old_costs_is_made_anew_with_the_next_sign_in(app: App) -> None:
    old = control(app)
    await old.users.add("jo", PASSWORD, role="viewer")
    begun = await old.sessions.sign_in(own(), "jo", PASSWORD)
    dearer = PasswordHasher(time_cost=2, memory_cost=1024, parallelism=1)
    access = AccessControl(app, passwords=Passwords(dearer))

    await access.sessions.sign_in(own(), "jo", PASSWORD)

    (user,) = await app.backend().access.users()
    assert "t=2" in user.password
    assert await known(access, cookie_of(begun.set_cookie)), "other sessions go on"
    assert await access.sessions.sign_in(own(), "jo", PASSWORD)


async def test_password_is_hashed_beside_the_event_loop(app: App) -> None:
    """By default it takes a fraction of a second, in which the loop serves others."""
    passwords = Passwords()
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    hashed = await passwords.hash(PASSWORD)
    assert await passwords.verify(hashed, PASSWORD)
    turning.cancel()

    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert turns > 50
