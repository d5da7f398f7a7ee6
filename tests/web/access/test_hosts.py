"""Users of the host application, and servers without access control."""

from __future__ import annotations

import re

import pytest
from starlette.requests import HTTPConnection
from tests.web.access.calling import HOME, call, control

from toril import App, InvalidOptionError
from toril.web.access.listening import ANYBODY, OpenAccess, check_listener, is_loopback
from toril.web.access.port import Access, CrossOrigin, Principal, Role, Unauthenticated

ANN = Principal("ann", "host", Role.OPERATOR, None, False)


def of_the_host(connection: HTTPConnection) -> Principal | None:
    """What a host application might say."""
    return ANN if connection.cookies.get("host") == "ann" else None


async def of_the_host_later(connection: HTTPConnection) -> Principal | None:
    """The same, asynchronously."""
    return of_the_host(connection)


@pytest.mark.parametrize("hook", [of_the_host, of_the_host_later])
async def test_user_of_the_host_is_known(app: App, hook: object) -> None:
    access = control(app, host_users=hook)

    assert await access.identify(call(cookie="host=ann")) == ANN
    with pytest.raises(Unauthenticated):
        await access.identify(call(cookie="host=eve"))


async def test_keys_go_on_beside_users_of_the_host(app: App) -> None:
    access = control(app, host_users=of_the_host)
    key = await access.keys.add("deploy", role="viewer")

    assert (await access.identify(call(key=key))).kind == "key"


async def test_session_of_the_host_does_not_count_for_another_site(app: App) -> None:
    """The browser sends the host's cookie as well, whoever has it make the request."""
    access = control(app, host_users=of_the_host)

    with pytest.raises(CrossOrigin):
        await access.identify(call("POST", cookie="host=ann", sec_fetch_site="cross-site"))
    with pytest.raises(CrossOrigin):
        await access.identify(
            call(
                "DELETE", cookie="host=ann", authorization="Basic YTpi", origin="https://x.example"
            )
        )
    assert await access.identify(call("POST", cookie="host=ann", origin=HOME)) == ANN
    token = "the host's own token"
    assert await access.identify(call("POST", cookie="host=ann", key=token)) == ANN
    with pytest.raises(CrossOrigin):  # who knows which of the two the host took?
        await access.identify(
            call("POST", cookie="host=ann", key=token, sec_fetch_site="cross-site")
        )


async def test_host_makes_nobody_a_key(app: App) -> None:
    access = control(app, host_users=lambda _: Principal("deploy", "key", Role.ADMIN, None, True))

    assert (await access.identify(call())).actor == "host:deploy"


async def test_what_is_no_principal_lets_nobody_in(app: App) -> None:
    access = control(app, host_users=lambda _: True)

    with pytest.raises(InvalidOptionError, match="a function that returns a Principal, or None"):
        await access.identify(call())


async def test_hook_that_fails_lets_nobody_in(app: App) -> None:
    def fails(_: HTTPConnection) -> Principal | None:
        raise OSError("the host's database is away")

    with pytest.raises(OSError, match="away"):
        await control(app, host_users=fails).identify(call())


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST"]
)
def test_without_access_control_a_server_listens_on_this_machine(host: str) -> None:
    check_listener(host, None)
    check_listener(host, OpenAccess())


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.0.2.1", "jobs.example", "localhost.example", "127.0.0.1.nip"]
)
@pytest.mark.parametrize("access", [None, OpenAccess()])
def test_beyond_this_machine_access_control_is_needed(host: str, access: Access | None) -> None:
    with pytest.raises(InvalidOptionError, match=re.escape(f"host={host!r}")) as raised:
        check_listener(host, access)

    assert "listen on 127.0.0.1" in str(raised.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "jobs.example"])
def test_with_access_control_a_server_listens_anywhere(app: App, host: str) -> None:
    check_listener(host, control(app))


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "localhost:80", "[::1]:8000"])
async def test_without_access_control_everybody_here_is_an_administrator(host: str) -> None:
    access = OpenAccess()

    assert await access.identify(call(host=host)) == ANYBODY
    assert await access.identify(call("POST", host=host)) == ANYBODY  # curl
    page = call("POST", host=host, sec_fetch_site="same-origin", origin=f"http://{host}")
    assert await access.identify(page) == ANYBODY


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example:8000"},  # its name leads to 127.0.0.1 by now
        {"host": "evil.example:8000", "sec_fetch_site": "same-origin"},
        {"host": "localhost.evil.example"},
        {"host": ""},
        {"host": "127.0.0.1:8000", "sec_fetch_site": "cross-site"},
        {"host": "127.0.0.1:8000", "sec_fetch_site": "same-site"},
    ],
)
async def test_without_access_control_pages_of_other_sites_are_refused(
    method: str, headers: dict[str, str]
) -> None:
    with pytest.raises(CrossOrigin):
        await OpenAccess().identify(call(method, **headers))


async def test_without_access_control_a_link_of_another_site_may_be_followed() -> None:
    followed = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}

    page = call(host="localhost:8000", sec_fetch_dest="document", **followed)
    assert await OpenAccess().identify(page) == ANYBODY
    for method, dest in (("GET", "iframe"), ("GET", ""), ("POST", "document")):
        with pytest.raises(CrossOrigin):
            await OpenAccess().identify(
                call(method, host="localhost:8000", sec_fetch_dest=dest, **followed)
            )


async def test_without_access_control_a_form_of_another_site_is_refused() -> None:
    with pytest.raises(CrossOrigin):
        await OpenAccess().identify(
            call("POST", host="127.0.0.1:8000", origin="https://evil.example")
        )


def test_other_names_are_not_this_machine() -> None:
    assert not is_loopback("ip6-localhost")
    assert not is_loopback("2130706433")
