"""Keys: the first one, right ones, wrong ones, and very many wrong ones."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from tests.web.access.calling import call, control

from toril import App, InvalidOptionError, InvalidSettingError, Settings
from toril.testing.clock import ManualClock
from toril.web.access.control import AccessControl
from toril.web.access.keys import new_key
from toril.web.access.port import Principal, Role, Throttled, Unauthenticated

ADMIN_KEY = "0123456789abcdef0123456789abcdef"


async def test_first_start_makes_one_key_and_no_other_start_does(app: App) -> None:
    access = control(app)

    key = await access.keys.first()

    assert key is not None
    assert re.fullmatch(r"toril_[A-Za-z0-9_-]{43}", key)
    who = await access.identify(call(key=key))
    assert who == Principal("admin", "key", Role.ADMIN, None, True)
    assert await access.keys.first() is None


STARTS = """
import asyncio, sys
from toril import App
from toril.web.access.keys import Keys
async def main():
    async with App(sys.argv[1]) as app:
        print("ready", flush=True)
        sys.stdin.readline()
        print(await Keys(app).first(), flush=True)
asyncio.run(main())
"""


async def test_of_processes_that_start_at_once_one_makes_a_key(app: App, url: str) -> None:
    """Each of them would print one, and all but one would be no key."""
    app.backend()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", STARTS, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=50)[0].strip() for process in started]

    (key,) = [one for one in said if one != "None"]
    assert (await control(app).identify(call(key=key))).role is Role.ADMIN
    assert len(await control(app).keys.list()) == 1


async def test_key_of_the_settings_is_an_administrator_and_kept_nowhere(
    url: str, clock: ManualClock
) -> None:
    settings = Settings(admin_key=ADMIN_KEY)
    async with App(url, durability="normal", clock=clock, settings=settings) as app:
        access = control(app)
        assert await access.keys.first() is None
        assert await access.keys.list() == []
        assert "0123456789" not in repr(settings)

        who = await access.identify(call(key=ADMIN_KEY))
        assert who == Principal("TORIL_ADMIN_KEY", "key", Role.ADMIN, None, True)
        for wrong in (ADMIN_KEY[:-1], ADMIN_KEY + "0", ADMIN_KEY.upper()):
            with pytest.raises(Unauthenticated):
                await access.identify(call(key=wrong))
        with pytest.raises(InvalidOptionError, match="another name"):
            await access.keys.add("TORIL_ADMIN_KEY", role="viewer")


@pytest.mark.parametrize("key", ["short", "x" * 31, "ä" * 40, "with a space in it, long enough!!"])
def test_weak_key_of_the_settings_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(InvalidSettingError, match="TORIL_ADMIN_KEY: expected 32 or more") as raised:
        Settings.load({"TORIL_ADMIN_KEY": key})

    assert key not in str(raised.value)


async def test_key_is_known_until_it_is_removed(app: App, access: AccessControl) -> None:
    key = await access.keys.add("deploy", role="submitter", queues=["mail", "shop-*"])
    assert await access.identify(call(key=key)) == Principal(
        "deploy", "key", Role.SUBMITTER, ("mail", "shop-*"), False
    )

    assert await access.keys.remove("deploy")

    with pytest.raises(Unauthenticated, match="not known, or has expired"):
        await access.identify(call(key=key))
    assert not await access.keys.remove("deploy")


async def test_key_expires(access: AccessControl, clock: ManualClock) -> None:
    key = await access.keys.add("deploy", role="viewer", expires=60)

    clock.advance(59.999)
    assert (await access.identify(call(key=key))).name == "deploy"
    clock.advance(0.001)
    with pytest.raises(Unauthenticated):
        await access.identify(call(key=key))
    (listed,) = await access.keys.list()
    assert listed.expired


async def test_store_and_listing_hold_no_key(app: App, access: AccessControl) -> None:
    key = await access.keys.add("deploy", role="viewer")

    kept = repr(await app.backend().access.keys()) + repr(await access.keys.list())

    assert key not in kept
    assert key.removeprefix("toril_") not in kept


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"role": "operater"}, "did you mean 'operator'"),
        ({"role": "viewer", "queues": []}, "queues="),
        ({"role": "viewer", "queues": "mail"}, "a list of names"),
        ({"role": "viewer", "queues": ["a:b"]}, "names of queues"),
        ({"role": "viewer", "queues": [""]}, "names of queues"),
        ({"role": "viewer", "queues": [5]}, "names of queues"),
        ({"role": "viewer", "queues": ["x" * 513]}, "names of queues"),
        ({"role": "viewer", "queues": ["*a" * 6]}, "names of queues"),
        ({"role": "viewer", "expires": 0}, "expires=0"),
    ],
)
async def test_key_that_makes_no_sense_is_refused(
    access: AccessControl, options: dict[str, object], problem: str
) -> None:
    with pytest.raises(InvalidOptionError, match=re.escape(problem)):
        await access.keys.add("deploy", **options)  # type: ignore[arg-type]
    assert await access.keys.list() == []


@pytest.mark.parametrize("name", ["", " jo", "a\nb", "x" * 101])
async def test_odd_names_are_refused(access: AccessControl, name: str) -> None:
    with pytest.raises(InvalidOptionError, match="name="):
        await access.keys.add(name, role="viewer")


async def test_name_is_taken_once(access: AccessControl) -> None:
    key = await access.keys.add("deploy", role="viewer")

    with pytest.raises(InvalidOptionError, match="there is a key of this name"):
        await access.keys.add("deploy", role="admin")

    assert (await access.identify(call(key=key))).role is Role.VIEWER


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YWRtaW46YWRtaW4=", "toril_x", "Bearer  \x00", "Negotiate x"],
)
async def test_header_that_names_nobody_is_refused_with_the_way_out(
    access: AccessControl, header: str
) -> None:
    with pytest.raises(Unauthenticated, match="Bearer KEY") as raised:
        await access.identify(call(authorization=header))

    assert (raised.value.status, raised.value.code) == (401, "unauthenticated")
    assert raised.value.challenge == 'Bearer realm="toril"'


async def test_scheme_is_read_in_any_case(access: AccessControl) -> None:
    key = await access.keys.add("deploy", role="viewer")

    assert (await access.identify(call(authorization=f"bearer  {key} "))).name == "deploy"


async def test_ten_thousand_wrong_keys_are_throttled_in_bounded_memory(
    app: App, access: AccessControl, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    right = await access.keys.add("deploy", role="viewer")
    other = await access.keys.add("other", role="viewer")
    await access.identify(call(key=right))
    answers: dict[str, int] = {"unknown": 0, "throttled": 0}
    wrong = [new_key() for _ in range(10_000)]
    caplog.clear()
    tracemalloc.start()
    try:
        for number, key in enumerate(wrong):
            if number == 100:
                before = tracemalloc.get_traced_memory()[0]
            try:
                await access.identify(call(key=key))
            except Unauthenticated:
                answers["unknown"] += 1
            except Throttled as error:
                answers["throttled"] += error.retry_after_s >= 1
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert answers == {"unknown": 10, "throttled": 9_990}
    assert grown < 500_000
    said = " ".join(record.getMessage() for record in caplog.records)
    assert len(said) < 2_000
    assert not any(key in said for key in wrong)
    # A key that was right before goes on from the same place, and any from another place.
    assert (await access.identify(call(key=right))).name == "deploy"
    assert (await access.identify(call(key=other, place="192.0.2.2"))).name == "other"
    # Later the place is asked again, one at a time.
    clock.advance(6)
    with pytest.raises(Unauthenticated):
        await access.identify(call(key=wrong[0]))
    with pytest.raises(Throttled):
        await access.identify(call(key=wrong[0]))


async def test_wrong_keys_from_very_many_places_are_throttled_in_bounded_memory(
    access: AccessControl,
) -> None:
    """Who has a network of IPv6 has as many addresses as wanted."""
    right = await access.keys.add("deploy", role="viewer")
    await access.identify(call(key=right))
    throttled = 0
    for number in range(2_000):
        place = f"2001:db8:{number // 1000:x}:{number % 1000:x}::{number}"
        try:
            await access.identify(call(key=new_key(), place=place))
        except Unauthenticated:
            pass
        except Throttled:
            throttled += 1

    assert throttled == 1_800
    assert (await access.identify(call(key=right, place="192.0.2.9"))).name == "deploy"


async def test_addresses_of_one_network_are_one_place(access: AccessControl) -> None:
    for number in range(10):
        with pytest.raises(Unauthenticated):
            await access.identify(call(key=new_key(), place=f"2001:db8::{number:x}"))

    with pytest.raises(Throttled):
        await access.identify(call(key=new_key(), place="2001:db8::ffff:ffff:ffff:ffff"))


async def test_keys_that_were_right_long_ago_are_forgotten(
    access: AccessControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever knows many keys, which may have been removed by now, fills no memory."""
    monkeypatch.setattr("toril.web.access.keyring.WELL_KNOWN", 2)
    first, *others = [await access.keys.add(name, role="viewer") for name in ("a", "b", "c")]
    for key in (first, *others):
        await access.identify(call(key=key))
    for number in range(10):
        with pytest.raises(Unauthenticated):
            await access.identify(call(key=f"wrong-{number}"))

    for key in others:
        assert await access.identify(call(key=key))
    with pytest.raises(Throttled):
        await access.identify(call(key=first))


async def test_right_keys_are_never_throttled(access: AccessControl) -> None:
    key = await access.keys.add("deploy", role="viewer")

    found = await asyncio.gather(*(access.identify(call(key=key)) for _ in range(200)))

    assert {one.name for one in found} == {"deploy"}


async def test_removed_key_is_counted_as_wrong(access: AccessControl) -> None:
    """It was right, so it is known; that must not let it ask for ever."""
    key = await access.keys.add("deploy", role="viewer")
    await access.identify(call(key=key))
    await access.keys.remove("deploy")

    for _ in range(10):
        with pytest.raises(Unauthenticated):
            await access.identify(call(key=key))
    with pytest.raises(Throttled):
        await access.identify(call(key=key))


async def test_store_is_asked_by_the_digest_of_a_wrong_key_alone(access: AccessControl) -> None:
    """So a key that is nearly right is as far from it as any: nothing can be learnt by timing."""
    from toril.web.access.keys import digest_of

    key = await access.keys.add("deploy", role="viewer")
    near = key[:-1] + ("A" if key[-1] != "A" else "B")
    alike = sum(a == b for a, b in zip(digest_of(key), digest_of(near), strict=True))

    assert alike < 32
    with pytest.raises(Unauthenticated):
        await access.identify(call(key=near))


async def test_very_long_key_is_wrong_and_costs_little(access: AccessControl) -> None:
    with pytest.raises(Unauthenticated):
        await access.identify(call(key="x" * 1_000_000))


async def test_what_is_done_to_keys_is_recorded_without_them(
    app: App, access: AccessControl, caplog: pytest.LogCaptureFixture
) -> None:
    from toril import acting

    caplog.set_level(logging.DEBUG)
    with acting("user:jo", "rotation"):
        key = await access.keys.add("deploy", role="operator", queues=["mail"], expires=3600)
        await access.keys.remove("deploy")
        await access.keys.remove("deploy")

    removed, added = (await app.audit.page()).entries
    assert (added.verb, added.actor, added.reason) == ("keys.add", "user:jo", "rotation")
    assert added.arguments == {
        "name": "deploy", "role": "operator", "queues": ["mail"], "payloads": False,
        "expires_s": 3600.0,
    }  # fmt: skip
    assert (removed.verb, removed.arguments) == ("keys.remove", {"name": "deploy"})
    lines = [line.text for line in await app.backend().audit.page(before=None, limit=9)]
    assert key not in json.dumps(lines) + caplog.text


def test_access_needs_no_server_to_be_imported(tmp_path: Path) -> None:
    """Who has it off pays nothing."""
    code = "import toril, sys; print([m for m in sys.modules if 'starlette' in m or 'argon2' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
