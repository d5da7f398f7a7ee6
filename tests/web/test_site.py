"""An application's own routes, the dashboard and the interface as one; routes of pushes; `PORT`."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.support.ports import give_back_port, reserve_port
from tests.support.push_endpoint import SUBJECT, push_endpoint
from tests.support.waiting import wait_until

from toril import App, InvalidOptionError, InvalidSettingError
from toril.library.push import PushService, PushSettings
from toril.services.push.memory_subscriptions import MemorySubscriptions
from toril.services.push.vapid import VapidKeys
from toril.web.access.control import AccessControl
from toril.web.push_routes import push_routes
from toril.web.running import port_of, run_site
from toril.web.serving import HttpServer
from toril.web.site import site


async def fails(request: Request) -> Response:
    """Raise what the query asks for."""
    errors = {
        "lookup": LookupError("no such room"),
        "permission": PermissionError("members only"),
        "toril": InvalidOptionError("priority=-1: expected an integer"),
    }
    raise errors[request.query_params["what"]]


async def user_of(request: Request) -> str:
    """Return who asks."""
    return request.headers.get("x-user", "jo")


@asynccontextmanager
async def served(application: object) -> AsyncIterator[httpx2.AsyncClient]:
    """Serve it."""
    server = HttpServer(application, host="127.0.0.1", port=0)  # type: ignore[arg-type]
    await server.start()
    async with httpx2.AsyncClient(base_url=server.url) as http:
        yield http
    await server.stop()


async def test_site_has_all_three_and_opens_what_it_is_given(
    tmp_path: Path, no_thread_left: None
) -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        steps.append("opened")
        yield
        steps.append("closed")

    async def hello(_request: Request) -> Response:
        return JSONResponse({"hello": "world"})

    app = App(f"sqlite:///{tmp_path}/toril.db")
    routes = [Route("/hello", hello), Route("/fails", fails)]
    async with served(site(app, routes, lifespan=lifespan)) as http:
        assert (await http.get("/hello")).json() == {"hello": "world"}
        assert (await http.get("/api/toril/health")).status_code == 200
        assert (await http.get("/api/toril/queues")).status_code == 200
        page = await http.get("/admin/queues/queues")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        told = [await http.get("/fails", params={"what": what})
                for what in ("lookup", "permission", "toril")]  # fmt: skip
        assert steps == ["opened"]

    assert steps == ["opened", "closed"]
    assert [one.status_code for one in told] == [404, 403, 422]
    assert [one.json()["error"]["code"] for one in told] == ["not_found", "forbidden", "invalid"]
    assert told[0].json()["error"]["message"] == "no such room"
    assert told[2].json()["error"]["field"] == "priority"


async def test_browser_subscribes_and_leaves(tmp_path: Path) -> None:
    async with push_endpoint() as endpoint:
        settings = PushSettings(vapid=endpoint.keys, egress_allow=("127.0.0.1",))
        service = PushService(settings, subscriptions=MemorySubscriptions())
        app = App(f"sqlite:///{tmp_path}/toril.db")
        routes = push_routes(service, user_of=user_of)
        async with served(site(app, routes)) as http:
            browser, other = endpoint.browser(), endpoint.browser()
            key = await http.get("/api/push/public-key")
            older_key = await http.get("/api/push/vapid-public-key")
            added = await http.post("/api/push/subscriptions", json=browser.json)
            older = await http.post("/api/push/subscribe", json={"subscription": other.json})
            held = [one.endpoint for one in await service.subscriptions.of_user("jo")]
            body = {"endpoint": browser.endpoint}
            strange = await http.request(
                "DELETE", "/api/push/subscriptions", json=body, headers={"x-user": "eve"}
            )
            after_strange = len(await service.subscriptions.of_user("jo"))
            removed = await http.request("DELETE", "/api/push/subscriptions", json=body)
            left = [one.endpoint for one in await service.subscriptions.of_user("jo")]
            bad = [
                await http.post("/api/push/subscriptions", content=b"{"),
                await http.post("/api/push/subscriptions", json={"endpoint": 1}),
                await http.request("DELETE", "/api/push/subscriptions", json=["x"]),
                await http.post("/api/push/subscriptions", content=b" " * 20_000),
            ]

    assert key.json() == older_key.json() == {"publicKey": endpoint.keys.public_key}
    assert (added.status_code, set(added.json())) == (201, {"id"})
    assert (older.status_code, older.json()) == (200, {"success": True})
    assert held == [browser.endpoint, other.endpoint]
    assert (strange.status_code, after_strange) == (204, 2)
    assert removed.status_code == 204
    assert left == [other.endpoint]
    assert [one.status_code for one in bad] == [400, 422, 422, 413]
    assert bad[2].json()["error"]["field"] == "endpoint"


async def test_key_that_is_not_set_is_told(tmp_path: Path) -> None:
    service = PushService(PushSettings(folder=tmp_path), subscriptions=MemorySubscriptions())
    app = App(f"sqlite:///{tmp_path}/toril.db")
    async with served(site(app, push_routes(service, user_of=user_of))) as http:
        answer = await http.get("/api/push/public-key")

    assert answer.status_code == 503
    assert "toril vapid" in answer.json()["error"]["message"]
    assert VapidKeys.generate(SUBJECT).public_key


@pytest.mark.parametrize("port", ["x", "-1", "65536"])
async def test_port_that_is_none_is_named(
    tmp_path: Path, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", port)
    app = App(f"sqlite:///{tmp_path}/toril.db")

    with pytest.raises(InvalidSettingError, match="PORT"):
        await run_site(site(app, []), app, port=3001)


def test_highest_port_is_one() -> None:
    assert port_of({"PORT": " 65535 "}, "PORT", 3001) == 65_535


async def test_program_shows_its_round_runs_its_jobs_and_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where standard input is no terminal."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    app = App(f"sqlite:///{tmp_path}/toril.db")
    done: list[str] = []

    @app.task(queue="greetings")
    async def greet(name: str) -> None:
        done.append(name)

    async def show(url: str) -> None:
        async with httpx2.AsyncClient(base_url=url) as http:
            assert (await http.get("/api/toril/health")).status_code == 200
        await greet.enqueue(name="Jo")

    access = AccessControl(app)
    await run_site(site(app, []), app, port=0, access=access, concurrency=1, show=show)

    lines = capsys.readouterr().out.splitlines()
    assert done == ["Jo"]
    assert lines[0].startswith("The key of the administrator, shown this once: toril_")
    assert lines[1].startswith("Listening on http://127.0.0.1:")


@pytest.mark.parametrize("concurrency", [None, 1])
async def test_program_ends_when_it_is_told_to(
    tmp_path: Path, concurrency: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a worker, which has no round to show, and without."""
    port = reserve_port()
    monkeypatch.setenv("PORT", str(port))
    app = App(f"sqlite:///{tmp_path}/toril.db")

    @app.task(queue="greetings")
    async def greet(name: str) -> None: ...

    running = asyncio.create_task(run_site(site(app, []), app, port=1, concurrency=concurrency))

    async def answers() -> bool:
        assert not running.done(), running
        try:
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
                workers = (await http.get("/api/toril/workers")).json()["items"]
        except httpx2.HTTPError:
            return False
        return len(workers) == (0 if concurrency is None else 1)

    await wait_until(answers, what="the server, and its worker")
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    give_back_port(port)


PROGRAM = """
import logging, os
from toril import InvalidSettingError
from toril.web.running import run_program

async def main(alone):
    print(alone, os.environ.get("SHOP_FROM"), os.path.basename(os.getcwd()), flush=True)
    logging.getLogger("toril.places").info("Mails go to the folder mail")
    if os.environ.get("SHOP_FROM") == "bad":
        raise InvalidSettingError("SHOP_FROM='bad': expected an address")

run_program(main, folder="shop-demo", settings={"SHOP_FROM": "shop@example.com"})
"""


@pytest.mark.parametrize(
    ("words", "sender", "code", "told", "error"),
    [
        ([], None, 0, "True shop@example.com shop-demo", ""),
        ([], "own@example.com", 0, "True own@example.com shop-demo", ""),
        (["api"], None, 0, "False None {folder}", ""),
        (["ap"], None, 1, "", "'ap': expected nothing, or the word api"),
        (["api", "now"], None, 1, "", "'api now': expected nothing, or the word api"),
        ([], "bad", 1, "True bad shop-demo",
         "InvalidSettingError: SHOP_FROM='bad': expected an address"),
    ],
)  # fmt: skip
def test_program_runs_by_its_words(
    tmp_path: Path, words: list[str], sender: str | None, code: int, told: str, error: str
) -> None:
    environ = {**os.environ} if sender is None else {**os.environ, "SHOP_FROM": sender}

    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], cwd=tmp_path, env=environ,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    lines = [told.format(folder=tmp_path.name), "Mails go to the folder mail"] if told else []
    assert (ran.returncode, ran.stdout.splitlines()) == (code, lines)
    assert ran.stderr.strip() == error
