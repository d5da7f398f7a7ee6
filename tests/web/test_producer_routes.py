"""Routes that add jobs of one producer's queue: what they take, refuse and answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct
from starlette.applications import Starlette

from toril import App, InvalidOptionError
from toril.typed import Producer, QueueRegistry, QueueSpec
from toril.web.access.control import AccessControl
from toril.web.access.tenants import TenantKeys
from toril.web.own_routes import OwnCall, OwnRoutes
from toril.web.producer_routes import MAX_JOBS, serve_producer

JO = "key-of-jo-of-acme-1"
SPEC = QueueSpec("example")


class Asked(Struct, rename="camel"):
    user_id: str
    action: str
    data: dict[str, Any] = {}
    org_id: str | None = None


class AskedProducer(Producer[Asked, None], spec=SPEC):
    """Adds."""


class NumberProducer(Producer[int, None], spec=QueueSpec("numbers")):
    """Adds what has no fields."""


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/toril.db?durability=normal"


@pytest.fixture
async def app(url: str) -> AsyncIterator[App]:
    async with App(url) as app:
        yield app


def of_caller(call: OwnCall) -> dict[str, str | None]:
    return {"userId": call.user, "orgId": call.tenant}


def client(app: App, *, queue: str | None = "example", key: str = JO) -> httpx.AsyncClient:
    keys = TenantKeys.from_environment("KEYS", {"KEYS": f"{JO}=submitter:acme:jo"})
    routes = OwnRoutes(AccessControl(app, host_users=keys), queue=queue)
    producers = QueueRegistry([SPEC], producers=[AskedProducer]).producers(app)
    serve_producer(routes, producers.get(AskedProducer), "/api/jobs/example", of_caller)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(Starlette(routes=routes.made(""))),
        base_url="http://localhost",
        headers={"Authorization": f"Bearer {key}"},
    )


async def test_job_is_added_with_its_options_for_who_calls(app: App) -> None:
    body = {"action": "sync-data", "data": {"a": 1}, "priority": 10, "delay": 60_000}
    async with client(app) as http:
        answer = await http.post("/api/jobs/example", json=body)

    job_id = answer.json()["jobId"]
    info = await app.queue("example").job(job_id).info()
    assert answer.status_code == 201
    assert answer.json() == {
        "success": True, "jobId": job_id, "queue": "example", "message": "Job added",
    }  # fmt: skip
    assert "location" not in answer.headers
    assert (info.name, info.priority, info.delay_s) == ("process", 10, 60.0)
    assert info.data == {
        "userId": "jo", "orgId": "acme", "action": "sync-data", "data": {"a": 1},
    }  # fmt: skip


async def test_many_are_added_at_once(app: App) -> None:
    jobs: list[dict[str, Any]] = [{"action": "a"}, {"action": "b", "data": {"x": 1}}]
    async with client(app) as http:
        answer = await http.post("/api/jobs/example/bulk", json={"jobs": jobs})
        one = await http.post("/api/jobs/example/bulk", json={"jobs": jobs[:1]})

    found = answer.json()
    infos = [await app.queue("example").job(one).info() for one in found["jobIds"]]
    assert answer.status_code == 201
    assert (found["success"], found["count"], found["message"]) == (True, 2, "2 jobs added")
    assert one.json()["message"] == "1 job added"
    assert [(info.data["action"], info.data["data"]) for info in infos] == [
        ("a", {}), ("b", {"x": 1}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({}, "action", "action: it is missing"),
        ({"action": 7}, "action", "action: Expected `str`, got `int`"),
        ({"action": "a", "data": []}, "data", "data: Expected `object`, got `array`"),
        ({"action": "a", "dat": {}}, "dat", "dat: unknown field 'dat': did you mean 'data'?"),
        ({"action": "a", "dela": 1}, "dela", "dela: unknown field 'dela': did you mean 'delay'?"),
        ({"action": "a", "userId": "eve"}, "userId", "userId: unknown field 'userId': known are"),
        ({"action": "a", "priority": 0}, "priority", "priority=0: expected a whole number from 1"),
        ({"action": "a", "priority": 11}, "priority", "priority=11: expected a whole number"),
        ({"action": "a", "delay": -1}, "delay", "delay=-1: expected milliseconds"),
        ({"action": "a", "delay": "1"}, "delay", "delay='1': expected milliseconds"),
    ],
)  # fmt: skip
async def test_wrong_body_is_refused_by_its_field(
    app: App, body: dict[str, Any], field: str, said: str
) -> None:
    async with client(app) as http:
        answer = await http.post("/api/jobs/example", json=body)

    error = answer.json()["error"]
    assert (answer.status_code, error["field"]) == (422, field)
    assert error["message"].startswith(said)
    assert await app.queue("example").info() is None


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({}, "jobs", "jobs: it is missing"),
        ({"jobs": []}, "jobs", "jobs: 0 of them: expected 1 to 1000"),
        ({"jobs": [{"action": "a"}] * (MAX_JOBS + 1)}, "jobs", "jobs: 1001 of them: expected"),
        ({"jobs": [{"action": "a"}, {}]}, "jobs[1].action", "jobs[1].action: it is missing"),
        ({"jobs": [{"action": "a", "delay": 1}]}, "jobs[0].delay", "jobs[0].delay: unknown field"),
        ({"jobs": [{"action": "a"}], "priority": 1}, "priority", "unknown field 'priority'"),
    ],
)  # fmt: skip
async def test_wrong_job_of_many_is_refused_and_none_is_added(
    app: App, body: dict[str, Any], field: str, said: str
) -> None:
    async with client(app) as http:
        answer = await http.post("/api/jobs/example/bulk", json=body)

    error = answer.json()["error"]
    assert (answer.status_code, error["field"]) == (422, field)
    assert error["message"].startswith(said)
    assert await app.queue("example").info() is None


async def test_caller_without_the_right_to_the_queue_adds_nothing(app: App) -> None:
    access = AccessControl(app)
    other = await access.keys.add("other", role="submitter", queues=["mail"])
    viewer = await access.keys.add("viewer", role="viewer")
    answers = []
    for key in (other, viewer, "nobodys"):
        async with client(app, queue=None, key=key) as http:
            for path in ("/api/jobs/example", "/api/jobs/example/bulk"):
                body = {"action": "a"} if path.endswith("example") else {"jobs": [{"action": "a"}]}
                answers.append(await http.post(path, json=body))

    assert [one.status_code for one in answers] == [403, 403, 403, 403, 401, 401]
    assert "to 'example'; other has it not" in answers[0].json()["error"]["message"]
    assert await app.queue("example").info() is None


async def test_payload_without_fields_is_refused_at_once(app: App) -> None:
    registry = QueueRegistry([NumberProducer.spec], producers=[NumberProducer])
    routes = OwnRoutes(AccessControl(app), queue="numbers")

    with pytest.raises(InvalidOptionError, match=r"payload_type=.*: expected a type with fields"):
        serve_producer(routes, registry.producers(app).get(NumberProducer), "/numbers")
