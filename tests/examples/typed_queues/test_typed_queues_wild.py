"""What the published API of this system takes over REST, and what its worker tells."""

from __future__ import annotations

from typing import Any

import pytest
from tests.examples.typed_queues.conftest import Start
from tests.examples.typed_queues.system import ended
from tests.support.waiting import wait_until

from toril import App
from toril.services.notices.sql import SqlNotices

pytestmark = pytest.mark.timeout(600)
PATH = "/api/jobs/example"


async def test_jobs_are_added_one_by_one_and_many_at_once(start: Start, app: App) -> None:
    """Bodies and answers as published; the work is done, and its user is told."""
    system = await start()

    odd = await system.ask("POST", PATH, {"action": "drop-all", "data": {}})
    one = await system.ask(
        "POST", PATH, {"action": "sync-data", "data": {"a": 1}, "priority": 10, "delay": 0}
    )
    many = await system.ask(
        "POST", f"{PATH}/bulk",
        {"jobs": [{"action": "sync-data", "data": {"b": number}} for number in range(2)]},
    )  # fmt: skip
    job_id, ids = one.json()["jobId"], many.json()["jobIds"]
    waiting = await app.queue("example").job(job_id).info()
    await system.worker("light")
    failed = await ended(app, "example", odd.json()["jobId"])
    made = [system.made(f"sync/{one}.json") for one in (job_id, *ids)]
    await wait_until(lambda: all(path.is_file() for path in made), what="the files")

    assert [answer.status_code for answer in (odd, one, many)] == [201] * 3
    assert one.json() == {
        "success": True, "jobId": job_id, "queue": "example", "message": "Job added",
    }  # fmt: skip
    assert many.json() == {
        "success": True, "count": 2, "jobIds": ids, "message": "2 jobs added",
    }  # fmt: skip
    assert (waiting.name, waiting.priority) == ("process", 10)
    user = waiting.data["userId"]
    assert waiting.data == {
        "userId": user, "orgId": None, "action": "sync-data", "data": {"a": 1},
    }  # fmt: skip
    assert failed.attempts_made == 1
    assert [path.read_bytes() for path in made] == [b'{"a":1}', b'{"b":0}', b'{"b":1}']
    await tell(system.data, user, {odd.json()["jobId"]: "failed"} | dict.fromkeys(
        (job_id, *ids), "completed"
    ))  # fmt: skip


async def tell(data: Any, user: str, ends: dict[str, str]) -> None:
    """Wait until a user has a notice of the end of each job, and check what it says."""
    notices = SqlNotices(f"sqlite:///{data}/records.db")

    async def are_there() -> bool:
        return len(await notices.of_user(user)) == len(ends)

    await wait_until(are_there, what="a notice of each job")
    found = await notices.of_user(user)
    await notices.close()
    assert {one.metadata["taskId"]: one.title for one in found} == {
        job_id: f"example.task.{word}" for job_id, word in ends.items()
    }
    for one in found:
        assert one.metadata.keys() == {"taskId", "taskType", "initiatedBy", "timestamp"}
        assert one.metadata["initiatedBy"] == user


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (PATH, {"data": {}}, "action"),
        (PATH, {"action": "sync-data", "userId": "eve"}, "userId"),
        (PATH, {"action": "sync-data", "priority": 11}, "priority"),
        (f"{PATH}/bulk", {"jobs": [{"action": "sync-data", "delay": 5}]}, "jobs[0].delay"),
    ],
)
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_wrong_bodies_are_refused_and_nothing_is_added(
    start: Start, app: App, path: str, body: dict[str, Any], field: str
) -> None:
    system = await start()

    answer = await system.ask("POST", path, body)
    nobody = await system.ask("POST", path, body, key=None)

    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert nobody.status_code == 401
    assert await app.queue("example").info() is None
