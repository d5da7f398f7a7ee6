"""An application's own routes: bodies, options, paces, keys and errors, one by one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from toril import App, InvalidOptionError, InvalidSettingError
from toril.core.errors import (
    InvalidPayloadError,
    JobNotFoundError,
    PayloadTooLargeError,
    StoreUnreachableError,
    WrongStateError,
)
from toril.engine.handle import Job
from toril.web import own_pace
from toril.web.access.control import AccessControl
from toril.web.access.port import Permission
from toril.web.access.tenants import TenantKeys
from toril.web.job_api import JobApiOptions, serve_jobs
from toril.web.job_manager import QueueJobs
from toril.web.own_options import read_options
from toril.web.own_pace import CallerPace
from toril.web.own_routes import MAX_BYTES, MAX_DEPTH, Answer, OwnCall, OwnRoutes, Refusal

JO, OPERATOR = "key-of-jo-of-acme-1", "key-of-the-operator"
KEYS = f"{JO}=submitter:acme:jo, {OPERATOR}=operator"


def read(options: Mapping[str, Any]) -> Any:
    return read_options(options, most_urgent=20, priority=5, wire=lambda given: 21 - given)


@pytest.fixture
async def app() -> AsyncIterator[App]:
    async with App("sqlite://:memory:") as made:
        yield made


def client(routes: OwnRoutes, key: str = JO) -> httpx.AsyncClient:
    web = Starlette(routes=routes.made("/api", ""))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(web),
        base_url="http://localhost",
        headers={"Authorization": f"Bearer {key}"},
    )


def routes_of(app: App, **more: Any) -> OwnRoutes:
    keys = TenantKeys.from_environment("API_KEYS", {"API_KEYS": KEYS})
    return OwnRoutes(AccessControl(app, host_users=keys), queue="jobs", **more)


def test_options_are_read_and_times_are_in_milliseconds() -> None:
    found = read(
        {
            "priority": 20, "delay": 1500, "attempts": 4, "jobId": "a",
            "removeOnComplete": True, "removeOnFail": 7,
            "backoff": {"type": "fixed", "delay": 250},
        }
    )  # fmt: skip
    plain = read({"removeOnComplete": False})

    assert (found.priority, found.delay_s, found.max_attempts, found.job_id) == (1, 1.5, 4, "a")
    assert (found.backoff, found.backoff_s) == ("fixed", 0.25)
    assert (found.keep_completed.count, found.keep_failed.count) == (0, 7)
    assert (plain.priority, plain.delay_s, plain.max_attempts) == (16, 0.0, None)
    assert (plain.keep_completed.count, plain.keep_failed) == (None, None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"priority": 0}, "options.priority=0: expected a whole number from 1 to 20"),
        ({"priority": 21}, "1 to 20"),
        ({"attempts": 10_001}, "options.attempts"),
        ({"removeOnFail": "no"}, "true, false, or how many"),
        ({"backoff": {"type": "fixed", "delay": 1, "dly": 2}}, "options.backoff"),
        ({"delai": 1}, "did you mean 'delay'"),
        ({"jobId": "7"}, "options.jobId="),
    ],
)
def test_options_that_make_no_sense_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        read(options)
    assert said in str(caught.value)


def test_pace_lets_so_many_through_and_says_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("toril.web.own_pace.time.monotonic", lambda: now)
    pace = CallerPace.of(" 2/min ")
    pace.take("a")
    now += 20
    pace.take("a")
    pace.take("b")

    with pytest.raises(Refusal) as caught:
        pace.take("a")
    now += 40  # the first one is a minute old: it counts no more
    pace.take("a")
    with pytest.raises(Refusal) as again:
        pace.take("a")

    assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "40")
    assert again.value.headers["Retry-After"] == "20"


def test_pace_forgets_who_came_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_pace, "MAX_CALLERS", 2)
    pace = CallerPace(1)
    for caller in ("a", "b", "c"):
        pace.take(caller)

    pace.take("a")  # forgotten
    with pytest.raises(Refusal):
        pace.take("c")


@pytest.mark.parametrize("text", ["", "60", "0/min", "60/day", "x/s", "-1/s"])
def test_pace_that_a_text_does_not_say_is_refused(text: str) -> None:
    with pytest.raises(InvalidOptionError, match="60/min, 5/s or 1000/h"):
        CallerPace.of(text)


@pytest.mark.parametrize(
    "text",
    ["short=operator", f"{JO}", f"{JO}=king", f"{JO}=submitter", f"{JO}=submitter:a:b:c"],
)
def test_keys_that_make_no_sense_are_refused_and_not_shown(text: str) -> None:
    with pytest.raises(InvalidSettingError) as caught:
        TenantKeys.from_environment("API_KEYS", {"API_KEYS": f"{OPERATOR}=operator,{text}"})
    assert "entry 2" in str(caught.value)
    assert JO not in str(caught.value)


async def test_caller_is_known_with_its_tenant_and_rights(app: App) -> None:
    routes = routes_of(app)

    @routes.on("GET", "/me", Permission.READ)
    async def me(call: OwnCall) -> Answer:
        return {"tenant": call.tenant, "user": call.user}

    @routes.on("POST", "/rule", Permission.OPERATE)
    async def rule(call: OwnCall) -> Answer:
        return 202, {}

    async with client(routes) as jo, client(routes, OPERATOR) as operator:
        found = [(await each.get("/api/me")).json() for each in (jo, operator)]
        ruled = [await each.post("/rule") for each in (jo, operator)]
        unknown = await jo.get("/me", headers={"Authorization": "Bearer nobody"})

    assert found == [{"tenant": "acme", "user": "jo"}, {"tenant": None, "user": "operator 2"}]
    assert [answer.status_code for answer in ruled] == [403, 202]
    assert "the role submitter" in ruled[0].json()["error"]["message"]
    assert unknown.status_code == 401


async def test_bodies_are_read_or_refused(app: App) -> None:
    routes = routes_of(app)

    @routes.on("POST", "/echo", Permission.READ)
    async def echo(call: OwnCall) -> Answer:
        return await call.json(name=str, data=dict | None)

    def nested(depth: int) -> str:
        inner = '{"a":' * (depth - 2) + "{}" + "}" * (depth - 2)
        return f'{{"name":"n","data":{inner}}}'

    async with client(routes) as jo:
        answers = {
            name: await jo.post("/echo", content=content)
            for name, content in {
                "good": '{"name":"n"}',
                "deep enough": nested(MAX_DEPTH),
                "too deep": nested(MAX_DEPTH + 1),
                "large enough": json.dumps({"name": "x" * (MAX_BYTES - 12)}),
                "too large": json.dumps({"name": "x" * (MAX_BYTES - 11)}),
                "no JSON": "{",
                "a list": "[]",
                "empty": "",
                "other type": '{"name":1}',
                "unknown": '{"name":"n","dta":{}}',
            }.items()
        }

    found = {name: answer.status_code for name, answer in answers.items()}
    assert found == {
        "good": 200, "deep enough": 200, "too deep": 400, "large enough": 200, "too large": 413,
        "no JSON": 400, "a list": 422, "empty": 422, "other type": 422, "unknown": 422,
    }  # fmt: skip
    assert answers["good"].json() == {"name": "n", "data": None}
    assert answers["empty"].json()["error"]["message"] == "name: it is missing"
    assert "'data'" in answers["unknown"].json()["error"]["message"]


async def test_errors_have_their_statuses(app: App, caplog: pytest.LogCaptureFixture) -> None:
    raised: list[Exception] = []
    routes = routes_of(app, timeout_s=0.2)

    @routes.on("GET", "/", Permission.READ)
    async def fails(call: OwnCall) -> Answer:
        if raised:
            raise raised.pop()
        await asyncio.Event().wait()
        return {}

    cases: dict[int, Exception] = {
        404: JobNotFoundError("none", job_id="1", queue="jobs"),
        409: WrongStateError("it runs", job_id="1", queue="jobs"),
        413: PayloadTooLargeError("A", "data", "too large"),
        418: Refusal(418, "teapot", "no coffee", field="f", allowed=["tea"]),
        422: InvalidPayloadError("A", "data", "missing required field `to`"),
        500: ZeroDivisionError("secret"),
        503: StoreUnreachableError("gone", sent=False),
    }
    found = {}
    async with client(routes) as jo:
        for status, error in cases.items():
            raised.append(error)
            found[status] = await jo.get("/api/")
        late = await jo.get("/api/")

    assert [answer.status_code for answer in found.values()] == [*cases]
    assert found[418].json()["error"] == {
        "code": "teapot", "message": "no coffee", "field": "f", "allowed": ["tea"]
    }  # fmt: skip
    assert found[422].json()["error"]["field"] == "data.to"
    assert "secret" not in found[500].text
    assert "secret" in caplog.text
    assert (late.status_code, late.headers["retry-after"]) == (503, "1")


async def test_answers_in_an_envelope(app: App) -> None:
    routes = routes_of(app, enveloped=True)

    @routes.on("POST", "/jobs", Permission.SUBMIT)
    async def made(call: OwnCall) -> Answer:
        return 201, {"jobId": "a b"}

    @routes.on("GET", "/jobs", Permission.READ)
    async def none(call: OwnCall) -> Answer:
        raise Refusal(404, "not_found", "no such job")

    async with client(routes) as jo:
        good, bad = await jo.post("/api/jobs"), await jo.get("/api/jobs")

    assert good.json() == {"success": True, "data": {"jobId": "a b"}}
    assert good.headers["location"] == "/api/jobs/a%20b"
    assert (bad.json()["success"], bad.json()["error"]) == (False, "no such job")


async def test_jobs_are_of_their_tenant(app: App) -> None:
    manager = QueueJobs(app.queue("jobs"), types=["A"], older=["a:old"], read_options=read)
    routes = routes_of(app)
    options = JobApiOptions(pace=CallerPace(2), priority=lambda wire: 21 - wire, attempts=3)
    serve_jobs(routes, manager, options, path="/queue")
    await manager.initialize()
    foreign, _ = await manager.add_job("a:old", {"tenantId": "other"}, {"jobId": "foreign"})

    async with client(routes) as jo, client(routes, OPERATOR) as operator:
        taken = await jo.post(
            "/queue/jobs", json={"type": "A", "data": {}, "options": {"jobId": "foreign"}}
        )
        mine = await jo.post("/queue/jobs", json={"type": "A", "data": {"x": 1}})
        over = await jo.post("/queue/jobs", json={"type": "A", "data": {}})
        hidden = await jo.get(f"/queue/jobs/{foreign.id}")
        shown = await operator.get(f"/queue/jobs/{mine.json()['jobId']}")
        removed = [await operator.delete("/queue/jobs/foreign") for _ in range(2)]
        wrong = await operator.post("/queue/clean/failed", json={"limit": 0})

    assert [answer.status_code for answer in (taken, mine, over, hidden)] == [409, 201, 429, 404]
    assert shown.json()["data"] == {"userId": "jo", "x": 1, "tenantId": "acme"}
    assert (shown.json()["priority"], shown.json()["maxAttempts"]) == (5, 3)
    assert [answer.status_code for answer in removed] == [200, 404]
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (422, "limit")


class Quick(QueueJobs):
    """Its jobs are done, and gone, before anybody can look."""

    async def add_job(
        self, kind: str, data: Mapping[str, Any], options: Mapping[str, Any] | None = None
    ) -> tuple[Job[Any], bool]:
        job, duplicate = await super().add_job(kind, data, options)
        await job.remove()
        return job, duplicate


async def test_job_that_is_gone_before_the_answer_was_taken(app: App) -> None:
    """The caller was told that there never was one, and sent it again."""
    manager = Quick(app.queue("jobs"), types=["A"], read_options=read)
    routes = routes_of(app)
    serve_jobs(routes, manager, path="/queue")
    await manager.initialize()

    async with client(routes) as jo:
        answer = await jo.post("/queue/jobs", json={"type": "A", "data": {}})

    assert answer.status_code == 201
    found = answer.json()
    assert (found["jobId"], found["type"], found["state"]) == ("1", "A", "waiting")


def test_envelope_of_routes_without_a_queue_is_refused(app: App) -> None:
    manager = QueueJobs(app.queue("jobs"), types=["A"], read_options=read)
    routes = OwnRoutes(AccessControl(app), queue=None, enveloped=True)

    with pytest.raises(InvalidOptionError, match="queue=None"):
        serve_jobs(routes, manager)


async def test_manager_is_ready_after_it_was_initialized_only(app: App) -> None:
    manager = QueueJobs(app.queue("jobs"), types=["A"], read_options=read)

    with pytest.raises(Exception, match="await its initialize"):
        await manager.get_stats()
    await manager.initialize()
    with pytest.raises(InvalidOptionError, match="expected one of A"):
        await manager.add_job("B", {})
    job, duplicate = await manager.add_job("A", {}, {"jobId": "one"})
    again, is_known = await manager.add_job("A", {}, {"jobId": "one"})

    assert (job.id, again.id, duplicate, is_known) == ("one", "one", False, True)
    stats = await manager.get_stats()
    assert (stats["waiting"], stats["paused"]) == (1, False)
