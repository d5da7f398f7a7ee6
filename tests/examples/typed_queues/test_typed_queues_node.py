"""BullMQ on Node beside the typed queues, both ways, and what producers in the wild send."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.examples.typed_queues.conftest import Start
from tests.examples.typed_queues.system import ended
from tests.support.node import Node
from tests.support.smtp_server import Inbox
from tests.support.waiting import wait_until

from toril import App, State

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.parametrize("store", ["redis"], indirect=True),
]


def course(course_id: str, videos: list[str], documents: list[str]) -> dict[str, Any]:
    """Return a course's tree; its children may have any name.

    Without one BullMQ stores no child, and tells nobody: the parent runs at once.
    """
    return {
        "name": "course-complete",
        "queueName": "course-orchestrator",
        "data": {"courseId": course_id},
        "opts": {"jobId": course_id},
        "children": [
            *(
                {"name": "encode", "queueName": "process-video", "data": {"videoId": one}}
                for one in videos
            ),
            *(
                {"name": "print", "queueName": "generate-pdf", "data": {"pdfId": one}}
                for one in documents
            ),
        ],
    }


async def test_flow_of_node_is_finished_by_python(start: Start, app: App, node: Node) -> None:
    system = await start("medium", "heavy")
    await system.video("v1")
    await system.video("v2")

    await node.add_flow(course("c1", ["v1", "v2"], ["p1"]))
    done = await system.course_in("c1", "completed")

    assert sorted(one["videoId"] for one in done["result"]["videos"]) == ["v1", "v2"]
    assert [one["pdfId"] for one in done["result"]["documents"]] == ["p1"]


async def test_flow_of_python_is_finished_by_node(start: Start, app: App, node: Node) -> None:
    system = await start()
    await node.worker("process-video", {"returns": {"videoId": "v1", "outputs": {}}})
    await node.worker("generate-pdf", {"returns": {"pdfId": "p1", "key": "k", "bytes": 1}})
    await node.worker("course-orchestrator", {"childrenValues": True})

    await system.build("c2", ["v1"], ["p1"])
    done = await system.course_in("c2", "completed")

    values = {key.split(":")[-2]: value for key, value in done["result"].items()}
    assert values == {
        "process-video": {"videoId": "v1", "outputs": {}},
        "generate-pdf": {"pdfId": "p1", "key": "k", "bytes": 1},
    }


async def test_node_worker_takes_a_part_of_a_queue(start: Start, app: App, node: Node) -> None:
    await start("light")
    behaviour = {"sleepMs": 5, "returns": {"success": True}}
    told = await node.worker("my-feature", behaviour, concurrency=5)
    jobs = [("process", {"userId": f"u{number}"}) for number in range(400)]

    await app.queue("my-feature").add_many(jobs)

    async def is_over() -> bool:
        info = await app.queue("my-feature").info()
        return info is not None and (info.waiting, info.active) == (0, 0)

    await wait_until(is_over, what="the queue to be empty")
    events = [event async for event in app.queue("my-feature").events(after=0, until_idle=True)]
    completed = [event.job_id for event in events if event.name == "completed"]
    by_node = len(told.named("completed"))
    assert len(completed) == len(set(completed)) == 400
    assert 0 < by_node < 400


async def test_what_node_adds_in_the_wild_is_worked(
    start: Start, app: App, node: Node, inbox: Inbox
) -> None:
    """The samples as they were published; the hash is gone once a job has completed."""
    system = await start("light", "medium", SMTP_URL=inbox.url)
    events = await node.queue_events("example")
    add = node.add

    mail = await add("example", "process", {
        "userId": "u1", "orgId": "o1", "action": "send-email", "data": {"email": "u@x.test"},
    })  # fmt: skip
    first = await node.result("example", mail, events, timeout_s=60)
    report = await add(
        "example", "process", {"userId": "u1", "action": "generate-report", "data": {}},
        priority=10, delay=5000,
    )  # fmt: skip
    delayed = await app.queue("example").job(report).info()
    second = await node.result("example", report, events, timeout_s=60)
    sync = await add(
        "example", "process",
        {"userId": "u1", "orgId": "o1", "action": "sync-data", "data": {"a": 1}},
    )  # fmt: skip
    third = await node.result("example", sync, events, timeout_s=60)
    odd = await add(
        "example", "process", {"userId": "u1", "orgId": "o1", "action": "drop-all", "data": {}}
    )
    failed = await ended(app, "example", odd)

    for result in (first, second, third):
        assert sorted(result) == ["message", "processedAt", "success"]
        assert result["success"] is True
    assert (delayed.state, delayed.priority, delayed.delay_s) == (State.DELAYED, 10, 5.0)
    assert inbox.to == [["u@x.test"]]
    assert system.made(f"sync/{sync}.json").read_bytes() == b'{"a":1}'
    document = system.made(f"documents/report-{report}.pdf")
    await wait_until(document.is_file, what="the report")
    assert failed.attempts_made == 1
    reason = "action='drop-all': expected one of send-email, generate-report, sync-data"
    assert reason in str(failed.failed_reason)
    assert failed.data["orgId"] == "o1"
    assert await node.counts("example", "completed") == {"completed": 0}


async def test_scheduler_of_node_goes_on(start: Start, app: App, node: Node) -> None:
    system = await start()
    for name, age in (("new", timedelta()), ("old", timedelta(days=2))):
        system.put(f"attachments/{name}", b"x")
        stamp = (datetime.now(UTC) - age).timestamp()
        os.utime(system.made(f"attachments/{name}"), (stamp, stamp))
    events = await node.queue_events("attachments-sweep")
    name = "attachments-sweep-tick"

    await node.upsert_scheduler(
        "attachments-sweep", name, {"every": 900_000}, {"name": name, "data": {}}
    )
    await system.worker("light")
    await events.wait_for("completed", deadline_s=60)
    done = [args[0] for event, args in events.events if event == "completed"]

    assert done[0]["returnvalue"] == {"pending": 1, "expired": 1, "purged": 1}
    assert not system.made("attachments/old").exists()
    assert system.made("attachments/new").exists()
    (following,) = await node.jobs("attachments-sweep", "delayed")
    assert (following["name"], following["data"]) == (name, {})
    assert 0 < following["delay"] <= 900_000


async def test_wrong_payload_from_node_fails_once_and_is_kept(
    start: Start, app: App, node: Node
) -> None:
    await start("light")
    wrong = ({"action": "send-email"}, {"userId": 7, "action": "send-email"})

    jobs = [await node.add("example", "process", data, attempts=3) for data in wrong]
    infos = [await ended(app, "example", one) for one in jobs]
    named = await node.add("example", "other-name", {"userId": "u"})
    unknown = await ended(app, "example", named)

    assert [(info.state, info.attempts_made) for info in infos] == [("failed", 1)] * 2
    assert [info.data for info in infos] == list(wrong)
    for info in infos:
        assert "userId" in str(info.failed_reason)
    assert "Unknown job type: other-name" in str(unknown.failed_reason)
