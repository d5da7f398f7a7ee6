"""What each role may do by each route, where keys are limited to queues, and what nobody sees.

`TABLE` is the one place that says what is meant. A route without a row fails a test.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from tests.support.waiting import wait_until
from tests.web.access.calling import control
from tests.web.support import Served, serve

from toril import App, Deduplication, JobOptions, Node, RetryPolicy
from toril.web.access.control import AccessControl
from toril.web.access.port import Role
from toril.web.declaring import Route
from toril.web.routes import ROUTES
from toril.web.server import match

# Its app has one task of each queue; other jobs are there for their state only.
pytestmark = pytest.mark.filterwarnings("ignore::toril.UnknownTaskWarning")

TABLE = """
get_health             anybody  store
get_readiness          anybody  store
sign_in                anybody  store
sign_out               anybody  store
get_me                 read     part
get_overview           read     part
get_attention          read     part
get_metrics            read     part
get_scaling            read     part
list_queues            read     part
search_queues          operate  store
get_queue              read     queue
change_queue           operate  queue
pause_queue            operate  queue
resume_queue           operate  queue
drain_queue            operate  queue
clean_queue            operate  queue
retry_jobs             operate  queue
promote_jobs           operate  queue
obliterate_queue       admin    queue
free_deduplication_id  operate  queue
get_history            read     queue
list_jobs              read     queue
add_job                submit   queue
add_jobs_together      submit   queue
get_job                read     queue
get_data               read     queue  payloads
get_result             read     queue  payloads
list_attempts          read     queue  payloads
list_log_lines         read     queue  payloads
list_job_events        read     queue
explain_job            read     queue
retry_job              operate  queue
promote_job            operate  queue
cancel_job             operate  queue
change_job             operate  queue
remove_job             operate  queue
add_log_line           operate  queue
leave_flow             operate  queue
list_events            read     queue
stream                 read     part
list_errors            read     part   payloads
list_flows             read     part
list_stuck_flows       read     part
get_flow               read     queue
retry_flow             operate  queue
cancel_flow            operate  queue
list_schedules         read     part
get_schedule           read     queue
put_schedule           operate  queue
run_schedule           operate  queue
pause_schedule         operate  queue
resume_schedule        operate  queue
remove_schedule        operate  queue
list_letter_queues     read     part
list_letters           read     queue
get_letter             read     queue
redrive_letter         operate  queue
redrive_letters        operate  queue
remove_letter          operate  queue
remove_letters         operate  queue
list_workers           read     part
get_worker             read     part
declare_dead           operate  store
tell_worker            operate  part
search_jobs            read     named
plan_search            read     named
export_jobs            read     named  payloads
preview_operation      operate  named
begin_operation        operate  named
list_operations        read     part
get_operation          read     part
cancel_operation       operate  part
undo_operation         operate  part
list_keys              admin    store
add_key                admin    store
remove_key             admin    store
list_users             admin    store
add_user               admin    store
change_user            admin    store
set_password           admin    store
remove_user            admin    store
list_my_sessions       read     own
end_my_sessions        read     own
end_my_session         read     own
list_sessions          admin    store
end_sessions           admin    store
end_session            admin    store
list_audit             admin    store
list_alerts            read     part
mute_alerts            operate  store
unmute_alerts          operate  store
get_system             admin    store
check_store            admin    store
"""
"""Route, the permission that it needs, and what it is about: one `queue` that its path names; the
caller's `part` of the store; its `own` sessions; queues that are `named` in a search; the whole
`store`, so that a key that is limited to queues is refused. `payloads`: it is all about what jobs
carry."""

MAY = {
    "read": list(Role),
    "submit": [Role.SUBMITTER, Role.OPERATOR, Role.ADMIN],
    "operate": [Role.OPERATOR, Role.ADMIN],
    "admin": [Role.ADMIN],
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
NONE = {
    "queue": "none", "letters": "none", "job_id": "none", "letter_id": "none",
    "schedule_id": "none", "worker_id": "none", "deduplication_id": "none",
    "operation_id": "none", "name": "none", "session_id": "none",
}  # fmt: skip
"""Parts of a path that lead nowhere: what is allowed there changes nothing."""


@dataclass(frozen=True)
class Row:
    """What is meant by one route."""

    permission: str
    about: str
    payloads: bool


ROWS = {
    name: Row(permission, about, bool(more))
    for name, permission, about, *more in map(str.split, TABLE.strip().splitlines())
}


def test_every_route_has_a_row_and_is_declared_so() -> None:
    assert {route.name for route in ROUTES} == set(ROWS)
    for route in ROUTES:
        row = ROWS[route.name]
        assert (str(route.permission) if route.permission else "anybody") == row.permission
        of_queue = bool({"queue", "letters"} & set(route.parts))
        assert of_queue == (row.about == "queue"), route.name


def path_of(route: Route, parts: dict[str, str] = NONE) -> str:
    return route.path.format(**parts)


def code_of(answer: httpx2.Response) -> str:
    """Return the word for a refusal. A stream is none."""
    problem = answer.headers.get("content-type", "").startswith("application/problem+json")
    return str(answer.json()["error"]["code"]) if problem else ""


async def ask(
    served: Served, route: Route, key: str | None, path: str, **how: Any
) -> httpx2.Response:
    """Ask a route. Of a stream that begins, only that it does."""
    if route.body is not None:
        how.setdefault("json", {})
    how["headers"] = {} if key is None else {"authorization": f"Bearer {key}"}
    if route.name != "stream":
        return await served.ask(route.method, path, **how)
    how.setdefault("params", {"topics": "overview,workers"})
    async with served.http.stream(route.method, f"{served.url}/api/v1{path}", **how) as answer:
        if answer.status_code != 200:
            await answer.aread()
            return answer
        told = ""
        async for line in answer.aiter_lines():
            told += line
            if line.startswith("data:"):
                break
        return httpx2.Response(200, text=told)


@pytest.fixture
async def access(app: App) -> AccessControl:
    return control(app)


@pytest.fixture
async def guarded(app: App, access: AccessControl) -> AsyncIterator[Served]:
    async with serve(app, access=access) as served:
        yield served


async def test_role_decides_over_every_route(guarded: Served, access: AccessControl) -> None:
    keys = {role: await access.keys.add(role, role=role, payloads=True) for role in Role}

    for role, key in keys.items():
        for route in ROUTES:
            permission = ROWS[route.name].permission
            answer = await ask(guarded, route, key, path_of(route))
            may = permission == "anybody" or role in MAY[permission]
            assert (code_of(answer) == "forbidden") == (not may), (role, route.name, answer.text)


async def test_whoever_says_nothing_is_asked_everywhere(guarded: Served) -> None:
    for route in ROUTES:
        answer = await ask(guarded, route, None, path_of(route))
        if ROWS[route.name].permission == "anybody":
            assert answer.status_code != 401, route.name
        else:
            assert answer.status_code == 401, route.name
            assert answer.headers["www-authenticate"] == 'Bearer realm="toril"'
            assert code_of(answer) == "unauthenticated"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ADMIN])
async def test_verb_that_no_route_has_is_refused_to_everybody(
    guarded: Served, access: AccessControl, role: Role
) -> None:
    key = await access.keys.add("any", role=role)
    headers = {"authorization": f"Bearer {key}"}
    there = {(route.method, route.path) for route in ROUTES}

    for path in {route.path for route in ROUTES}:
        for method in METHODS:
            if (method, path) not in there and not also_there(method, path):
                answer = await guarded.ask(method, path.format(**NONE), headers=headers)
                assert (answer.status_code, code_of(answer)) == (405, "method_not_allowed"), path
                allowed = set(answer.headers["allow"].split(", "))
                assert method not in allowed


def also_there(method: str, path: str) -> bool:
    """Whether a route with a part that varies answers where another has a word."""
    wanted = path.format(**NONE).strip("/").split("/")
    return any(
        route.method == method
        and len(route.segments) == len(wanted)
        and match(route, wanted) is not None
        for route in ROUTES
    )


async def test_key_without_payloads_is_refused_what_is_about_them(
    guarded: Served, access: AccessControl
) -> None:
    key = await access.keys.add("blind", role="admin")

    for route in ROUTES:
        answer = await ask(guarded, route, key, path_of(route))
        refused = ROWS[route.name].payloads
        assert (code_of(answer) == "forbidden") == refused, (route.name, answer.text)


@dataclass
class Store:
    """Two tenants, `mine` and `theirs`, that have the same of everything."""

    parts: dict[str, dict[str, str]] = field(default_factory=dict)
    """Tenant to the parts of paths that lead to its things."""


SECRET = "swordfish"
PATTERNS = ["mine*"]


@pytest.fixture
async def store(app: App) -> AsyncIterator[Store]:
    store = Store()
    workers = []
    for tenant in ("mine", "theirs"):
        store.parts[tenant], worker = await filled(app, tenant)
        workers.append(worker)
    running = [asyncio.ensure_future(worker.run()) for worker in workers]
    for worker in workers:
        await worker.ready()
    yield store
    for worker in workers:
        worker.stop()
    await asyncio.gather(*running)


async def filled(app: App, tenant: str) -> tuple[dict[str, str], Any]:
    """Give a tenant something of everything, with its name in all of it."""
    dead = f"{tenant}-dead"

    @app.task(queue=tenant, name=f"{tenant}-send", retry=RetryPolicy(max_attempts=1),
              dead_letter=dead)  # fmt: skip
    async def send(to: str) -> None:
        raise ValueError(f"{tenant} {SECRET} is nobody's address")

    failed = await send.enqueue(to=f"{tenant}-{SECRET}")
    worker = app.worker(queues=[tenant])
    running = asyncio.ensure_future(worker.run())

    async def has_failed() -> bool:
        return await failed.state() == "failed"

    await wait_until(has_failed, what="the job to fail")
    worker.stop()
    await running
    queue = app.queue(tenant)
    await failed.add_log(f"{tenant} {SECRET}")
    await queue.add(f"{tenant}-held", {"to": f"{tenant}-{SECRET}"}, JobOptions(
        delay_s=3600.0, deduplication=Deduplication("one")))  # fmt: skip
    await app.flows.add(
        Node(tenant, f"{tenant}-parent", children=[Node(f"{tenant}-late", f"{tenant}-child")])
    )
    await app.schedules.put(
        "nightly", queue, {"to": f"{tenant}-{SECRET}"}, name=f"{tenant}-tidy", every=3600.0
    )
    begun = await app.bulk.remove(f"queue:{tenant} name:{tenant}-nothing data.to:{SECRET}")
    await begun.run()
    (letter,) = (await app.dead_letters(dead).list()).letters
    again = app.worker(queues=[f"{tenant}-idle"])
    return {
        **NONE, "queue": tenant, "letters": dead, "job_id": failed.id, "letter_id": letter.id,
        "schedule_id": "nightly", "worker_id": again.id, "deduplication_id": "one",
        "operation_id": begun.id,
    }, again  # fmt: skip


READS = [route for route in ROUTES if route.method == "GET"]


async def test_key_limited_to_queues_reads_its_own_and_nothing_else(
    app: App, guarded: Served, access: AccessControl, store: Store
) -> None:
    key = await access.keys.add("tenant", role="admin", queues=PATTERNS, payloads=True)

    for route in READS:
        row = ROWS[route.name]
        mine, theirs = store.parts["mine"], store.parts["theirs"]
        own = await ask(guarded, route, key, path_of(route, mine), **named(route, "mine"))
        refused = row.about == "store" and row.permission != "anybody"
        assert (own.status_code == 403) == refused, (route.name, own.text)
        if not refused:
            assert own.status_code in (200, 503), (route.name, own.text)
        assert "theirs" not in own.text.lower(), route.name
        if row.about in ("queue", "named"):
            path = path_of(route, theirs)
            other = await ask(guarded, route, key, path, **named(route, "theirs"))
            assert (other.status_code, code_of(other)) == (403, "forbidden"), route.name
            path = path_of(route, theirs | {"queue": "mine"})
            mixed = await ask(guarded, route, key, path, **named(route, None))
            assert SECRET not in mixed.text or "theirs" not in mixed.text, route.name
        elif route.parts:
            other = await ask(guarded, route, key, path_of(route, theirs))
            assert other.status_code in (403, 404), route.name
            assert SECRET not in other.text


def named(route: Route, tenant: str | None) -> dict[str, Any]:
    """Return the query by which a route is asked about a tenant; None: about everything."""
    if ROWS[route.name].about == "named":
        return {"params": {"q": "" if tenant is None else f"queue:{tenant}"}}
    return {}


async def test_key_limited_to_queues_changes_nothing_elsewhere(
    app: App, guarded: Served, access: AccessControl, store: Store
) -> None:
    key = await access.keys.add("tenant", role="admin", queues=PATTERNS, payloads=True)
    before = await everything(app, "theirs")
    theirs = store.parts["theirs"]

    for route in ROUTES:
        if route.method == "GET" or ROWS[route.name].permission == "anybody":
            continue
        for parts in (theirs, theirs | {"queue": "mine"}):
            answer = await ask(guarded, route, key, path_of(route, parts))
            if parts is theirs and ROWS[route.name].about != "own":
                assert answer.status_code in (403, 422), (route.name, answer.text)
            assert f"theirs-{SECRET}" not in answer.text, route.name

    assert await everything(app, "theirs") == before


async def everything(app: App, tenant: str) -> object:
    """Return what a tenant has, without what time changes."""
    names = [tenant, f"{tenant}-dead", f"{tenant}-late"]
    infos = [await app.queue(name).info() for name in names]
    jobs = [
        (job.id, job.state, job.data, job.priority, job.attempts_made)
        for name in names
        for state in ("wait", "delayed", "failed", "waiting-children", "active", "prioritized")
        for job in (await app.queue(name).jobs(state)).jobs
    ]
    kept = [(info.waiting, info.delayed, info.failed, info.paused) for info in infos if info]
    schedules = [(one.id, one.queue, one.paused) for one in await app.schedules.list()]
    return kept, jobs, [one for one in schedules if one[1] == tenant]


BEYOND = {
    "all queues": {"action": "remove", "query": "state:wait"},
    "another queue": {"action": "remove", "query": "queue:theirs"},
    "a pattern": {"action": "remove", "query": "queue:* state:wait"},
    "all but one": {"action": "remove", "query": "-queue:mine"},
    "one of two": {"action": "remove", "query": "queue:mine,theirs"},
    "a queue by text": {"action": "remove", "query": "queue~mine"},
    "ids of another queue": {"action": "remove", "queue": "theirs", "ids": ["1", "2"]},
    "to another queue": {"action": "move", "query": "queue:mine", "to": "theirs"},
    "ids to another queue": {"action": "move", "queue": "mine", "ids": ["1"], "to": "theirs"},
}


@pytest.mark.parametrize("what", BEYOND)
async def test_operation_reaches_no_further_than_its_key(
    app: App, guarded: Served, access: AccessControl, store: Store, what: str
) -> None:
    key = await access.keys.add("tenant", role="operator", queues=PATTERNS, payloads=True)
    headers = {"authorization": f"Bearer {key}"}
    before = await everything(app, "theirs")

    answer = await guarded.ask("POST", "/operations", json=BEYOND[what], headers=headers)

    assert answer.status_code in (403, 422), answer.text
    assert await everything(app, "theirs") == before
    listed = (await guarded.ask("GET", "/operations", headers=headers)).json()["items"]
    assert [one["queues"] for one in listed] == [["mine"]]


async def test_key_limited_to_queues_operates_many_jobs_of_its_own(
    app: App, guarded: Served, access: AccessControl, store: Store
) -> None:
    key = await access.keys.add("tenant", role="operator", queues=PATTERNS)
    headers = {"authorization": f"Bearer {key}"}
    wish = {"action": "promote", "query": "queue:mine name:mine-held"}

    begun = (await guarded.ask("POST", "/operations", json=wish, headers=headers)).json()

    async def done() -> bool:
        answer = await guarded.ask("GET", f"/operations/{begun['id']}", headers=headers)
        return bool(answer.json()["state"] == "done")

    await wait_until(done, what="the operation to end")
    info = await app.queue("theirs").info()
    assert info is not None
    assert info.delayed >= 1
    listed = (await guarded.ask("GET", "/operations", headers=headers)).json()["items"]
    hidden = [one["query"] for one in listed]
    assert SECRET not in str(hidden)
    assert "***" in hidden


async def test_shared_letters_stay_with_whose_they_are(
    app: App, guarded: Served, access: AccessControl, store: Store
) -> None:
    """Two tenants let their failed jobs go to one queue of letters, which both may see."""
    key = await access.keys.add("tenant", role="operator", queues=["mine*", "theirs-dead"])
    headers = {"authorization": f"Bearer {key}"}
    where = f"/dead/theirs-dead/{store.parts['theirs']['letter_id']}"

    answers = [
        await guarded.ask("GET", where, headers=headers),
        await guarded.ask("POST", f"{where}/redrive", json={}, headers=headers),
        await guarded.ask("DELETE", where, headers=headers),
        await guarded.ask("POST", "/dead/theirs-dead/remove", json={}, headers=headers),
        await guarded.ask("POST", "/dead/theirs-dead/redrive", json={}, headers=headers),
        await guarded.ask(
            "POST", "/dead/theirs-dead/remove", json={"queue": "theirs"}, headers=headers
        ),
    ]

    assert [code_of(answer) for answer in answers] == ["forbidden"] * len(answers)
    assert (await guarded.ask("GET", "/dead/theirs-dead", headers=headers)).json()["items"] == []
    assert len((await app.dead_letters("theirs-dead").list()).letters) == 1


async def test_flow_that_reaches_into_others_queues_is_left_whole(
    app: App, guarded: Served, access: AccessControl, store: Store
) -> None:
    flow = await app.flows.add(Node("mine", "top", children=[Node("theirs", "below")]))
    key = await access.keys.add("tenant", role="operator", queues=PATTERNS, payloads=True)
    headers = {"authorization": f"Bearer {key}"}
    where = f"/queues/mine/jobs/{flow.id}"

    shown = await guarded.ask("GET", f"{where}/flow", headers=headers)
    answers = [
        await guarded.ask("POST", f"{where}/flow/cancel", json={}, headers=headers),
        await guarded.ask("POST", f"{where}/flow/retry", json={}, headers=headers),
        await guarded.ask("DELETE", f"{where}?below=true", headers=headers),
    ]

    assert "theirs" not in shown.text
    assert [code_of(answer) for answer in answers] == ["forbidden"] * 3
    assert (await app.queue("mine").job(flow.id).info()).state == "waiting-children"


async def test_who_may_not_see_payloads_cannot_ask_for_them_by_filters(
    app: App, guarded: Served, access: AccessControl, store: Store
) -> None:
    key = await access.keys.add("blind", role="operator")
    headers = {"authorization": f"Bearer {key}"}
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/jobs", {"params": {"q": f"data.to:*{SECRET}"}}),
        ("GET", "/jobs", {"params": {"q": f"error~{SECRET}"}}),
        ("GET", "/jobs/plan", {"params": {"q": f"-text~{SECRET}"}}),
        ("POST", "/operations", {"json": {"action": "retry", "query": f"error~{SECRET}"}}),
        ("POST", "/operations/preview", {"json": {"action": "retry", "query": "result~a"}}),
        ("GET", "/dead/mine-dead", {"params": {"error": SECRET}}),
        ("POST", "/dead/mine-dead/redrive", {"json": {"error": SECRET}}),
        ("POST", "/dead/mine-dead/remove", {"json": {"error": SECRET}}),
    ]

    for method, path, how in asked:
        answer = await guarded.ask(method, path, headers=headers, **how)
        assert answer.status_code == 403, (path, answer.text)
        assert code_of(answer) in ("forbidden", "hidden_field")
    for route in READS:
        parts = store.parts["mine"]
        answer = await ask(guarded, route, key, path_of(route, parts), **named(route, "mine"))
        assert SECRET not in answer.text, route.name


async def test_who_may_see_payloads_does(
    guarded: Served, access: AccessControl, store: Store
) -> None:
    key = await access.keys.add("seeing", role="viewer", payloads=True)
    where = path_of(next(one for one in ROUTES if one.name == "get_job"), store.parts["mine"])

    for path in (where, f"{where}/data", f"{where}/attempts", f"{where}/logs", "/errors"):
        answer = await guarded.ask("GET", path, headers={"authorization": f"Bearer {key}"})
        assert SECRET in answer.text, path
