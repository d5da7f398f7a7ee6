"""Counts of an application's queues, under names of its own."""

from __future__ import annotations

import httpx2
from starlette.applications import Starlette

from toril import App, JobOptions
from toril.web.access.control import AccessControl
from toril.web.serving import HttpServer
from toril.web.totals_route import totals_route

ZERO = {"waiting": 0, "active": 0, "completed": 0, "failed": 0, "delayed": 0, "total": 0}


async def test_totals_are_of_each_queue_for_who_may_read_it(app: App) -> None:
    access = AccessControl(app)
    keys = {
        "all": await access.keys.add("all", role="viewer"),
        "some": await access.keys.add("some", role="viewer", queues=["files"]),
    }
    route = totals_route(
        "/stats", app, {"filesAtWork": "files", "mails": "email", "never": "used"}, access=access
    )
    for options in (JobOptions(), JobOptions(priority=1), JobOptions(delay_s=60)):
        await app.queue("files").add("work", {}, options)
    await app.queue("email").add("send", {})
    server = HttpServer(Starlette(routes=[route]), host="127.0.0.1", port=0)
    await server.start()
    async with httpx2.AsyncClient(base_url=server.url) as http:
        answers = [
            await http.get("/stats", headers={"authorization": f"Bearer {key}"})
            for key in (keys["all"], keys["some"], "nobodys")
        ]
    await server.stop()

    assert [one.status_code for one in answers] == [200, 403, 401]
    assert answers[0].json() == {
        "filesAtWork": {**ZERO, "waiting": 2, "delayed": 1, "total": 3},
        "mails": {**ZERO, "waiting": 1, "total": 1},
        "never": ZERO,
    }
    assert "'email'" in answers[1].json()["error"]["message"]
