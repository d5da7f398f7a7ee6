"""Access control behind a real server, as programs and browsers meet it."""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.support.waiting import wait_until
from tests.web.access.calling import PASSWORD, cookie_of

from toril.web.access.control import AccessControl
from toril.web.access.port import Permission, Throttled, Unauthenticated


def application(access: AccessControl) -> Starlette:
    """Return the least application that asks who calls."""

    async def queue(request: Request) -> Response:
        who = await access.identify(request)
        wanted = Permission.READ if request.method == "GET" else Permission.OPERATE
        if not who.may(wanted, request.path_params["queue"]):
            return JSONResponse({"error": "forbidden"}, 403)
        return JSONResponse({"who": who.actor})

    async def begin(request: Request) -> Response:
        given = await request.json()
        begun = await access.sessions.sign_in(request, given["name"], given["password"])
        return JSONResponse({}, headers={"set-cookie": begun.set_cookie})

    async def end(request: Request) -> Response:
        cleared = await access.sessions.sign_out(request)
        return JSONResponse({}, headers={"set-cookie": cleared})

    def refused(_: Request, error: Any) -> Response:
        headers = {}
        if isinstance(error, Throttled):
            headers["retry-after"] = str(error.retry_after_s)
        elif error.status == 401:
            headers["www-authenticate"] = error.challenge
        return JSONResponse({"error": error.code}, error.status, headers)

    return Starlette(
        routes=[
            Route("/queues/{queue}", queue, methods=["GET", "POST"]),
            Route("/session", begin, methods=["POST"]),
            Route("/session", end, methods=["DELETE"]),
        ],
        exception_handlers={Unauthenticated: refused, Throttled: refused},
    )


class Caller:
    """Makes requests from beside the event loop."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __call__(
        self, method: str, path: str, body: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Make a request and return status, headers and body."""
        return await asyncio.to_thread(self._call, method, path, body, headers)

    def _call(
        self, method: str, path: str, body: str | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        content = answer.read()
        connection.close()
        return answer.status, found, content


@pytest.fixture
async def ask(access: AccessControl) -> AsyncIterator[Caller]:
    """A server, and who asks it."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application(access), lifespan="off", ws="none", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await wait_until(lambda: server.started, what="the server to listen")
    yield Caller(listening.getsockname()[1])
    server.should_exit = True
    await serving


async def test_program_uses_its_key(access: AccessControl, ask: Caller) -> None:
    key = await access.keys.add("deploy", role="operator", queues=["mail"])

    assert (await ask("GET", "/queues/mail"))[0] == 401
    status, headers, _ = await ask("GET", "/queues/mail", authorization="Bearer nobody's")
    assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="toril"')
    status, _, body = await ask("POST", "/queues/mail", authorization=f"Bearer {key}")
    assert (status, body) == (200, b'{"who":"key:deploy"}')
    assert (await ask("GET", "/queues/billing", authorization=f"Bearer {key}"))[0] == 403


async def test_wrong_keys_are_told_when_to_come_back(ask: Caller) -> None:
    found = [await ask("GET", "/queues/mail", authorization=f"Bearer {n}") for n in range(12)]

    assert [status for status, *_ in found] == [401] * 10 + [429] * 2
    assert 1 <= int(found[-1][1]["retry-after"]) <= 7


async def test_browser_signs_in_works_and_signs_out(access: AccessControl, ask: Caller) -> None:
    await access.users.add("jo", PASSWORD, role="operator")
    given = f'{{"name": "jo", "password": "{PASSWORD}"}}'
    own = {"sec_fetch_site": "same-origin"}

    assert (await ask("POST", "/session", given, sec_fetch_site="cross-site"))[0] == 403
    status, headers, _ = await ask("POST", "/session", given, **own)
    assert status == 200
    cookie = cookie_of(headers["set-cookie"])

    status, _, body = await ask("POST", "/queues/mail", cookie=cookie, **own)
    assert (status, body) == (200, b'{"who":"user:jo"}')
    for foreign in ({"sec_fetch_site": "cross-site"}, {"origin": "https://evil.example"}, {}):
        assert (await ask("POST", "/queues/mail", cookie=cookie, **foreign))[0] == 403
    assert (await ask("DELETE", "/session", cookie=cookie, **own))[0] == 200
    assert (await ask("GET", "/queues/mail", cookie=cookie))[0] == 401
