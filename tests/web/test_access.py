"""Who is answered: callers on this machine where there are no keys, and roles where there are."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from starlette.requests import HTTPConnection
from tests.web.access.calling import control
from tests.web.support import Served, serve

from toril import App
from toril.web.access.listening import check_listener, is_loopback
from toril.web.access.port import Principal, Role, Throttled, Unauthenticated
from toril.web.options import ServerOptions


class ByHeader:
    """An access that believes what a request says of itself."""

    async def identify(self, connection: HTTPConnection) -> Principal:
        said = connection.headers.get("x-role")
        if said is None:
            raise Unauthenticated("send Authorization: Bearer KEY")
        if said == "throttled":
            raise Throttled(2.5)
        queues = connection.headers.get("x-queues")
        return Principal(
            "jo", "key", Role(said), None if queues is None else tuple(queues.split(",")),
            connection.headers.get("x-payloads") == "yes",
        )  # fmt: skip


@pytest.fixture
def url() -> str:
    return "sqlite://:memory:"


@pytest.fixture
async def guarded(app: App) -> AsyncIterator[Served]:
    async with serve(app, access=ByHeader()) as served:
        yield served


async def test_throttled_caller_is_told_when_to_come_back(guarded: Served) -> None:
    answer = await guarded.ask("GET", "/queues", headers={"x-role": "throttled"})

    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "3"


async def test_caller_sees_its_own_queues_only(app: App, guarded: Served) -> None:
    for name in ("eu-mail", "us-mail"):
        await app.queue(name).add("send", {"secret": "17"})
    eu = {"x-role": "operator", "x-queues": "eu-*"}

    listed = (await guarded.ask("GET", "/queues", headers=eu)).json()["items"]
    overview = (await guarded.ask("GET", "/overview", headers=eu)).json()
    own = await guarded.ask("GET", "/queues/eu-mail", headers=eu)
    other = await guarded.ask("GET", "/queues/us-mail", headers=eu)
    act = await guarded.ask("POST", "/queues/us-mail/pause", json={}, headers=eu)
    metrics = (await guarded.ask("GET", "/metrics", headers=eu)).text

    assert [info["name"] for info in listed] == ["eu-mail"]
    assert overview["totals"]["waiting"] == 1
    assert (own.status_code, other.status_code, act.status_code) == (200, 403, 403)
    assert "us-mail" not in overview.__repr__() + metrics
    nearest = await guarded.ask("GET", "/queues/eu-mial", headers=eu)
    assert "eu-mail" in nearest.text
    assert "us-mail" not in nearest.text


async def test_callers_elsewhere_are_not_answered_without_keys(served: Served) -> None:
    proxied = await served.ask("GET", "/queues", headers={"x-forwarded-for": "10.0.0.7"})
    rebound = await served.ask("GET", "/queues", headers={"host": "evil.example"})
    page = await served.ask("POST", "/queues/mail/pause", json={},
                            headers={"sec-fetch-site": "cross-site"})  # fmt: skip

    assert proxied.status_code == 401
    assert rebound.status_code == page.status_code == 403
    assert page.json()["error"]["code"] == "cross_origin"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "shop.example"])
def test_server_without_keys_listens_on_this_machine_only(host: str) -> None:
    with pytest.raises(ValueError, match=r"listen on 127\.0\.0\.1"):
        check_listener(host, None)


def test_names_of_this_machine_are_known() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost"]))


async def test_each_key_has_a_rate_of_its_own(app: App) -> None:
    access = control(app)
    keys = [await access.keys.add(name, role="submitter") for name in ("shop", "crm")]
    shop, crm = ({"authorization": f"Bearer {key}"} for key in keys)
    jobs = {"jobs": [{"name": "send"}] * 10}

    async with serve(app, ServerOptions(submissions_per_s=1.0), access) as served:
        first = await served.ask("POST", "/queues/mail/jobs/batch", json=jobs, headers=shop)
        again = await served.ask("POST", "/queues/mail/jobs", json={"name": "send"}, headers=shop)
        reads = await served.ask("GET", "/queues/mail", headers=shop)
        other = await served.ask("POST", "/queues/mail/jobs/batch", json=jobs, headers=crm)

    assert (first.status_code, reads.status_code, other.status_code) == (200, 200, 200)
    assert (again.status_code, again.headers["retry-after"]) == (429, "1")
    assert "key:shop adds more than 1 jobs a second" in again.json()["detail"]
