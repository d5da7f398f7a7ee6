"""Routes for an application's own users: who asks, what is read, how often, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from toril import App, InvalidOptionError
from toril.rest.bodies import Body
from toril.web.access.control import AccessControl
from toril.web.access.port import Role
from toril.web.serving import HttpServer
from toril.web.site import site
from toril.web.user_routes import UserRoutes, user_of

TOKEN = "the-token-of-a-session"


class Order(Body, kw_only=True, frozen=True, rename="camel"):
    """What is ordered."""

    item_id: str
    many: int = 1


async def find(token: str) -> str | None:
    """Return whose session it is."""
    return "jo" if token == TOKEN else None


@pytest.fixture
async def app(tmp_path: Path) -> App:
    """An app; the site opens and closes it."""
    return App(f"sqlite:///{tmp_path}/toril.db")


@pytest.fixture
def access(app: App) -> AccessControl:
    """Who may use it."""
    return AccessControl(app)


Serving = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]


@pytest.fixture
def serving(app: App, access: AccessControl) -> Serving:
    """Serve orders, with options of the route."""

    @asynccontextmanager
    async def serve(**options: Any) -> AsyncIterator[httpx2.AsyncClient]:
        routes = UserRoutes(user_of(access, find, queue="orders"))

        @routes.post("/orders", Order, **options)
        async def order(user: str, new: Order) -> dict[str, Any]:
            if new.item_id == "gone":
                raise LookupError("there is no such item")
            if new.item_id == "bad":
                raise InvalidOptionError("itemId='bad': expected another")
            return {"by": user, "item": new.item_id, "many": new.many}

        server = HttpServer(site(app, routes.made, access=access), host="127.0.0.1", port=0)
        await server.start()
        try:
            async with httpx2.AsyncClient(base_url=server.url) as http:
                yield http
        finally:
            await server.stop()

    return serve


def bearer(token: str, **more: str) -> dict[str, str]:
    """Return the headers of a caller."""
    return {"authorization": f"Bearer {token}", **more}


async def test_user_is_known_by_the_token_of_a_session(serving: Serving) -> None:
    async with serving() as http:
        answer = await http.post("/orders", json={"itemId": "a"}, headers=bearer(TOKEN))

    assert answer.status_code == 200
    assert answer.json() == {"by": "jo", "item": "a", "many": 1}


async def test_program_says_for_which_user_it_calls(
    serving: Serving, access: AccessControl
) -> None:
    body = {"itemId": "a"}
    async with serving(status=201) as http:
        key = await access.keys.add("bot", role=Role.SUBMITTER, queues=["orders"])
        other = await access.keys.add("other", role=Role.SUBMITTER, queues=["mails"])
        viewer = await access.keys.add("eye", role=Role.VIEWER)
        good = await http.post("/orders", json=body, headers=bearer(key, **{"x-user-id": "ann"}))
        refused = [
            await http.post("/orders", json=body, headers=bearer(key)),
            await http.post("/orders", json=body, headers=bearer(other, **{"x-user-id": "ann"})),
            await http.post("/orders", json=body, headers=bearer(viewer, **{"x-user-id": "ann"})),
        ]

    assert (good.status_code, good.json()["by"]) == (201, "ann")
    assert [one.status_code for one in refused] == [403, 403, 403]
    assert refused[0].json()["error"]["field"] == "X-User-Id"
    assert "submitter's key" in refused[1].json()["error"]["message"]
    assert "viewer" in refused[2].json()["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [{}, bearer("nobodys"), {"authorization": f"Basic {TOKEN}"},
     {"authorization": TOKEN}, {"x-user-id": "jo"}],
)  # fmt: skip
async def test_nobody_is_nobody(serving: Serving, headers: dict[str, str]) -> None:
    async with serving() as http:
        answer = await http.post("/orders", json={"itemId": "a"}, headers=headers)

    assert answer.status_code == 401
    assert answer.json()["error"]["message"]


async def test_route_for_anybody_asks_nothing(serving: Serving) -> None:
    async with serving(anybody=True) as http:
        answer = await http.post("/orders", json={"itemId": "a"})

    assert answer.json() == {"by": "", "item": "a", "many": 1}


@pytest.mark.parametrize(
    ("content", "status", "field"),
    [(b"{", 400, None), (b"[]", 422, None), (b"{}", 422, "itemId"),
     (b'{"itemId": 7}', 422, "itemId"), (b'{"itemId": "a", "mani": 2}', 422, "mani"),
     (b'{"itemId": "bad"}', 422, "itemId"), (b'{"itemId": "gone"}', 404, None),
     (b'{"itemId": "' + b"a" * 300_000 + b'"}', 413, None)],
)  # fmt: skip
async def test_body_that_does_not_fit_is_answered(
    serving: Serving, content: bytes, status: int, field: str | None
) -> None:
    async with serving() as http:
        answer = await http.post("/orders", content=content, headers=bearer(TOKEN))

    error = answer.json()["error"]
    assert answer.status_code == status
    assert error["message"]
    assert error.get("field") == field


async def test_pace_is_each_users_own(serving: Serving, access: AccessControl) -> None:
    async with serving(pace="2/h") as http:
        key = await access.keys.add("bot", role=Role.SUBMITTER)
        jo = [await http.post("/orders", json={"itemId": "a"}, headers=bearer(TOKEN))
              for _ in range(3)]  # fmt: skip
        headers = bearer(key, **{"x-user-id": "ann"})
        ann = await http.post("/orders", json={"itemId": "a"}, headers=headers)

    assert [one.status_code for one in jo] == [200, 200, 429]
    assert ann.status_code == 200
    assert 1 <= int(jo[2].headers["retry-after"]) <= 3600
    assert jo[2].json()["error"]["code"] == "too_many_requests"


@pytest.mark.parametrize("pace", [None, ""])
async def test_no_pace_means_none(serving: Serving, pace: str | None) -> None:
    async with serving(pace=pace) as http:
        answers = [await http.post("/orders", json={"itemId": "a"}, headers=bearer(TOKEN))
                   for _ in range(30)]  # fmt: skip

    assert {one.status_code for one in answers} == {200}


async def test_pace_that_is_none_is_refused_at_the_start(serving: Serving) -> None:
    with pytest.raises(InvalidOptionError, match="60/min"):
        async with serving(pace="often"):
            pass
