"""Bindings of tasks to queues that Node's BullMQ shares: jobs from there, results back there."""

from __future__ import annotations

from typing import Any

import pytest
from tests.interop.watching import until_in
from tests.support.node import Node

from toril import App, JobFailedError, JobOptions, State, StoredJob


def bound(app: App) -> None:
    """Bind one task to what two producers send."""

    @app.task(name="files.convert", queue="files")
    async def convert(file_path: str, format: str = "webp") -> dict[str, Any]:
        return {"path": f"{file_path}.{format}", "bytes": 10}

    def first(file_path: str, output_path: str | None = None) -> dict[str, Any]:
        return convert.arguments_of(file_path=file_path)

    def newest(job: StoredJob, job_data: dict[str, str], max_attempts: int = 1) -> dict[str, Any]:
        return convert.arguments_of(file_path=job_data["filePath"], format=job.name)

    def answer(result: dict[str, Any], job: StoredJob) -> dict[str, Any]:
        return {"success": True, "outputPath": result["path"], "name": job.name}

    options = JobOptions(max_attempts=2, backoff="fixed", backoff_s=5.0, priority=3)
    app.bind(
        "file-processing",
        convert,
        names=["process-image", "optimize-avatar"],
        adapter=[newest, first],
        result=answer,
        options=options,
        rename="camel",
    )
    app.bind("any", convert, adapter=first, rename="camel")


async def test_jobs_of_node_are_run_and_answered_in_its_own_words(app: App, node: Node) -> None:
    bound(app)
    events = await node.queue_events("file-processing")
    one = await node.add("file-processing", "process-image", {"filePath": "/a", "own": 1})
    two = await node.add(
        "file-processing", "optimize-avatar", {"jobData": {"filePath": "/b"}, "maxAttempts": 1}
    )
    async with app.worker():
        assert await node.result("file-processing", one, events) == {
            "success": True,
            "outputPath": "/a.webp",
            "name": "process-image",
        }
        assert (await node.result("file-processing", two, events))["outputPath"] == (
            "/b.optimize-avatar"
        )


async def test_names_and_payloads_that_nobody_expects_fail_at_once(app: App, node: Node) -> None:
    bound(app)
    options = {"attempts": 3}
    strange = await node.add("file-processing", "process-audio", {"filePath": "/a"}, **options)
    empty = await node.add("file-processing", "process-image", {"file": "/a"}, **options)
    queue = app.queue("file-processing")
    async with app.worker():
        with pytest.raises(JobFailedError, match="Unknown job type: process-audio"):
            await queue.job(strange).result(timeout_s=20)
        with pytest.raises(JobFailedError, match="none of the 2 forms"):
            await queue.job(empty).result(timeout_s=20)
    info = await queue.job(strange).info()
    assert (info.data, info.attempts_made) == ({"filePath": "/a"}, 1)


async def test_a_tree_of_node_without_names_is_run_by_a_binding_of_any_name(
    app: App, node: Node
) -> None:
    bound(app)
    added = await node.add_flow(
        {
            "name": "parent",
            "queueName": "any",
            "data": {"filePath": "/p"},
            "children": [{"queueName": "any", "data": {"filePath": "/c"}}],
        }
    )
    async with app.worker():
        parent = await until_in(app, added["job"]["id"], State.COMPLETED, queue="any")
    assert parent.result == {"path": "/p.webp", "bytes": 10}


async def test_what_is_added_at_the_door_is_node_s_to_run(app: App, node: Node) -> None:
    bound(app)
    job = await app.queue("file-processing").add("process-image", {"filePath": "/a"})
    taken = await node.take("file-processing", "t1")
    assert (taken["name"], taken["data"]) == ("process-image", {"filePath": "/a"})
    assert (taken["opts"]["attempts"], taken["opts"]["priority"]) == (2, 3)
    assert taken["opts"]["backoff"] == {"type": "fixed", "delay": 5000}
    await node.complete(job.id, "t1", {"success": True})
    assert await job.result(timeout_s=20) == {"success": True}
