"""Asks every route of the interface once, as somebody would who operates a store.

What is in the store is up to the caller: our own jobs, or those of BullMQ.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from tests.support.waiting import wait_until

from toril import App, Node
from toril.client import ApiError, AsyncClient
from toril.engine.bulk.info import OperationInfo
from toril.rest.answers import Page
from toril.rest.bodies import NewJobBody
from toril.web.routes import ROUTES


class Recording:
    """A client that remembers which of its methods were called."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.called.add(name)
        return getattr(self._client, name)


async def walk(client: AsyncClient, app: App, queue: str, waiting: str, failed: str) -> None:
    """Ask every route, and look at each answer.

    Parameters:
        client: Of the server.
        app: On the same store.
        queue: A queue without workers.
        waiting: A job of it that waits.
        failed: A job of it that has failed.
    """
    asked = Recording(client)
    told = cast("AsyncClient", asked)
    await _server(told)
    await _jobs(told, queue, waiting, failed)
    await _queue(told, queue)
    await _flows(told, app, queue)
    await _schedules(told, queue)
    await _letters(told, app)
    await _workers(told, app)
    await _search(told, app)
    await _access(told)
    assert {route.name for route in ROUTES} - asked.called == set()


async def _server(client: AsyncClient) -> None:
    assert (await client.get_health()).status == "ok"
    assert (await client.get_readiness()).status == "ok"
    assert (await client.get_me()).role == "admin"
    assert "bullmq_job_count" in await client.get_metrics()
    scaling = await client.get_scaling()
    assert (scaling.workers, scaling.suggested_workers) == (0, -(-scaling.jobs // 10))


async def _jobs(client: AsyncClient, queue: str, waiting: str, failed: str) -> None:
    line = (await client.list_jobs(queue, state=["failed"])).items[0]  # type: ignore[list-item] # words do, too
    assert (line.id, line.state, line.queue) == (failed, "failed", queue)
    assert line.data_preview is not None
    facts = await client.get_job(queue, waiting)
    assert facts.state in ("wait", "prioritized")
    data = await client.get_data(queue, waiting)
    assert (data.text, data.bytes) == (None, facts.data_bytes)
    assert (await client.get_result(queue, waiting)).value is None
    attempts = (await client.list_attempts(queue, failed)).items
    assert attempts[-1].error
    assert {event.job_id for event in (await client.list_job_events(queue, failed)).items} == {
        failed
    }
    assert (await client.explain_job(queue, waiting)).reasons[0].kind == "no-worker"
    group = (await client.list_errors(queue=queue)).items[0]
    assert (group.queue, group.sample_ids) == (queue, [failed])

    assert (await client.add_log_line(queue, waiting, "looked at")).count == 1
    lines = await client.list_log_lines(queue, waiting)
    assert (lines.items, lines.total, lines.next) == (["looked at"], 1, None)

    changed = await client.change_job(queue, waiting, {"to": "others"}, priority=3)
    assert (changed.priority, changed.state) == (3, "prioritized")
    assert (await client.get_data(queue, waiting)).value == {"to": "others"}
    assert (await client.retry_job(queue, failed)).state == "wait"
    await client.cancel_job(queue, failed, reason="by hand")
    assert (await client.get_job(queue, failed)).failed_reason == "by hand"

    later = await client.add_job(queue, "later", {"n": 1}, delay_s=3600.0)
    assert (await client.change_job(queue, later.id, delay_s=60.0)).state == "delayed"
    assert (await client.promote_job(queue, later.id)).state == "wait"
    assert (await client.remove_job(queue, later.id)).count == 1
    with pytest.raises(ApiError) as refused:
        await client.get_job(queue, later.id)
    assert (refused.value.status, refused.value.code) == (404, "job_not_found")

    bodies = [NewJobBody(name="later", data={"n": n}, delay_s=3600.0) for n in range(3)]
    added = (await client.add_jobs_together(queue, bodies)).jobs
    assert len({job.id for job in added}) == 3
    assert (await client.promote_jobs(queue, limit=2)).count == 2


async def _queue(client: AsyncClient, queue: str) -> None:
    assert queue in [info.name for info in (await client.list_queues()).items]
    assert queue in [info.name for info in (await client.search_queues()).items]
    facts = await client.get_queue(queue)
    assert (facts.queue.name, facts.served, facts.dead_letter) == (queue, False, None)
    overview = await client.get_overview()
    assert overview.totals.failed >= 1
    assert isinstance((await client.get_attention()).items, list)

    assert (await client.pause_queue(queue, reason="deploy")).paused
    assert not (await client.resume_queue(queue)).paused
    limited = await client.change_queue(
        queue, concurrency=4, rate_limit=10, rate_window_s=2.0, hold_s=30.0, dead_letter="graves"
    )
    assert (limited.concurrency, limited.rate_limit, limited.rate_window_s) == (4, 10, 2.0)
    assert limited.held_s > 20
    free = await client.change_queue(
        queue, concurrency=None, rate_limit=None, hold_s=0.0, dead_letter=None, events="all"
    )
    assert (free.concurrency, free.rate_limit, free.held_s) == (None, None, 0.0)

    assert not (await client.change_queue(queue, history=False)).history
    assert not (await client.get_history(queue)).written
    assert (await client.change_queue(queue, history=True)).history
    span = await client.get_history(queue, since_s=3600.0, step_s=600.0, buckets=True)
    assert (span.queue, span.task, span.written, span.step_s) == (queue, None, True, 600.0)
    assert len(span.points) in (6, 7)
    assert span.since == span.points[0].at
    assert sum(one.failed for one in span.points) == span.total.failed
    assert span.total.run.buckets is not None
    assert sum(one.count for one in span.total.run.buckets) == span.total.run.count

    events = (await client.list_events(queue, limit=5)).items
    assert len(events) == 5
    after = (await client.list_events(queue, after=events[0].position)).items
    assert after[0] == events[1]

    held = await client.add_job(queue, "held", deduplication=_deduplication("one"))
    assert (await client.free_deduplication_id(queue, "one")).count == 1
    assert (await client.remove_job(queue, held.id)).count == 1
    async for message in client.stream(overview=True):
        assert queue in [info["name"] for info in message.data["queues"]]
        break

    assert (await client.retry_jobs(queue)).count >= 1
    assert (await client.drain_queue(queue, delayed=True)).count >= 1
    assert (await client.clean_queue(queue, state="failed")).more is False
    with pytest.raises(ApiError, match="expected the queue's name"):
        await client.obliterate_queue(queue, "another")
    with pytest.raises(ApiError, match="pause"):
        await client.obliterate_queue(queue, queue)
    await client.pause_queue(queue)
    await client.obliterate_queue(queue, queue)
    with pytest.raises(ApiError) as refused:
        await client.get_queue(queue)
    assert refused.value.code == "queue_not_found"


def _deduplication(deduplication_id: str) -> Any:
    from toril.rest.bodies import DeduplicationBody

    return DeduplicationBody(id=deduplication_id)


async def _flows(client: AsyncClient, app: App, queue: str) -> None:
    child = Node(queue, "child", {"n": 1})
    flow = await app.flows.add(Node(queue, "parent", children=[child]))
    assert flow.id in [line.id for line in (await client.list_flows()).items]
    assert flow.id in [one.job_id for one in (await client.list_stuck_flows()).items]
    found = await client.get_flow(queue, flow.id)
    assert [node.name for node in found.nodes] == ["parent", "child"]
    assert (found.progress.total, found.progress.waiting_children) == (2, 1)
    child_id = found.nodes[1].id
    assert (await client.cancel_flow(queue, flow.id)).count == 2
    assert (await client.retry_flow(queue, flow.id)).count == 2
    assert (await client.leave_flow(queue, child_id)).count == 1
    assert (await client.remove_job(queue, flow.id, below=True)).count >= 1


async def _schedules(client: AsyncClient, queue: str) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    made = await client.put_schedule(queue, "nightly", "tidy", cron="0 3 * * *", start=tomorrow)
    assert (made.name, made.cron) == ("tidy", "0 3 * * *")
    page: Page[Any] = await client.list_schedules(queue=queue)
    assert [one.id for one in page.items] == ["nightly"]
    assert (await client.pause_schedule(queue, "nightly")).paused
    assert not (await client.resume_schedule(queue, "nightly")).paused
    run = await client.run_schedule(queue, "nightly")
    assert (await client.get_job(queue, run.id)).name == "tidy"
    assert (await client.get_schedule(queue, "nightly")).id == "nightly"
    assert (await client.remove_schedule(queue, "nightly")).count == 1
    with pytest.raises(ApiError) as refused:
        await client.get_schedule(queue, "nightly")
    assert refused.value.code == "schedule_not_found"


async def _letters(client: AsyncClient, app: App) -> None:
    """A task that fails for good leaves a letter, and its job comes back."""
    from toril import RetryPolicy

    @app.task(queue="post", retry=RetryPolicy(max_attempts=1), dead_letter="graves")
    async def lost(to: str) -> None:
        raise ValueError(f"nobody is called {to}")

    for name in ("a", "b", "c"):
        await lost.enqueue(to=name)
    await _work(app, "post", failed=3)
    (graves,) = (one for one in (await client.list_letter_queues()).items if one.name == "graves")
    assert (graves.letters, graves.of_queues) == (3, ["post"])
    lines = (await client.list_letters("graves", task="lost")).items
    assert [line.original_queue for line in lines] == ["post"] * 3
    first, second, _ = lines
    letter = await client.get_letter("graves", first.id)
    assert letter.data == {"to": "a"}
    back = await client.redrive_letter("graves", first.id, {"to": "d"})
    assert (await client.get_data("post", back.id)).value == {"to": "d"}
    assert (await client.remove_letter("graves", second.id)).count == 1
    assert (await client.redrive_letters("graves")).count == 1
    assert (await client.remove_letters("graves")).count == 2


async def _workers(client: AsyncClient, app: App) -> None:
    worker = app.worker(queues=["post"])
    running = asyncio.ensure_future(worker.run())
    try:
        await worker.ready()
        found = (await client.list_workers()).items
        assert [(one.id, one.state) for one in found] == [(worker.id, "working")]
        assert (await client.get_worker(worker.id)).queues == ["post"]
        assert (await client.tell_worker(worker.id, "resize", concurrency=3)).count == 1
        await wait_until(lambda: worker.options.concurrency == 3)
        assert (await client.tell_worker(worker.id, "pause")).count == 1
        await wait_until(lambda: worker.paused)
        assert (await client.declare_dead(worker.id)).count >= 0
    finally:
        worker.stop()
        await running


async def _search(client: AsyncClient, app: App) -> None:
    await app.queue("lots").add_many([("send", {"n": n}) for n in range(5)])
    first = await client.search_jobs(q="queue:lots data.n>0", limit=2)
    assert [line.data_preview for line in first.items] == ['{"n":4}', '{"n":3}']
    rest = await client.search_jobs(q="queue:lots data.n>0", after=first.next)
    assert [line.data_preview for line in rest.items] == ['{"n":2}', '{"n":1}']
    assert rest.next is None
    assert (await client.plan_search(q="queue:lots data.n>0")).jobs_at_most == 5

    whole = [json.loads(line) async for line in client.export_jobs(q="queue:lots data.n>2")]
    assert [(job["name"], job["data"]) for job in whole] == [("send", {"n": 4}), ("send", {"n": 3})]
    with pytest.raises(ApiError, match="expected one of"):
        await anext(aiter(client.export_jobs(q="state:lost")))

    plan = await client.preview_operation("remove", query="queue:lots data.n<2")
    assert (plan.count, plan.exact, len(plan.samples)) == (2, True, 2)
    begun = await client.begin_operation("remove", query="queue:lots data.n<2", reason="tidy")
    done = await _ended(client, begun.id)
    assert (done.state, done.done, done.reason) == ("done", 2, "tidy")
    assert begun.id in [one.id for one in (await client.list_operations()).items]
    assert (await client.undo_operation(begun.id)).restored == 2
    assert (await client.get_queue("lots")).queue.waiting == 5

    slow = await client.begin_operation("remove", query="queue:lots", max_per_s=0.01)
    await client.cancel_operation(slow.id)
    assert (await _ended(client, slow.id)).state == "cancelled"


async def _ended(client: AsyncClient, operation_id: str) -> OperationInfo:
    """Return an operation once it no longer runs."""

    async def over() -> bool:
        return (await client.get_operation(operation_id)).state != "running"

    await wait_until(over, what="the operation to end")
    return await client.get_operation(operation_id)


async def _access(client: AsyncClient) -> None:
    made = await client.add_key("deploy", "operator", queues=["mail"], reason="for the deploys")
    assert made.key.startswith("toril_")
    (key,) = (await client.list_keys()).items
    assert (key.name, key.role, key.queues, key.payloads) == ("deploy", "operator", ["mail"], False)
    assert (await client.remove_key("deploy")).count == 1

    await client.add_user("jo", "correct horse battery", "viewer", payloads=True)
    (user,) = (await client.list_users()).items
    assert (user.name, user.role, user.queues, user.payloads) == ("jo", "viewer", None, True)
    changed = await client.change_user("jo", role="operator", version=user.version)
    assert (changed.role, changed.queues, changed.payloads) == ("operator", None, True)
    assert (await client.set_password("jo", "another horse battery")).count == 1
    assert (await client.list_sessions(name="jo")).items == []
    assert (await client.end_sessions("jo")).count == 0
    assert (await client.list_my_sessions()).items == []
    assert (await client.end_my_sessions()).count == 0
    for ending in (client.end_session("none"), client.end_my_session("none")):
        with pytest.raises(ApiError) as not_found:
            await ending
        assert not_found.value.code == "session_not_found"
    assert (await client.remove_user("jo")).count == 1

    for without in (client.sign_in(name="jo", password="x"), client.sign_out()):
        with pytest.raises(ApiError) as refused:  # this server asks nobody for a key
            await without
        assert refused.value.code == "no_sessions"

    entries = (await client.list_audit(verb="keys.add")).items
    assert [entry.reason for entry in entries] == ["for the deploys"]
    assert made.key not in repr(entries)

    muted = await client.mute_alerts(60.0, rule="queue_size", reason="a known peak")
    assert (muted.rule, muted.queue, muted.reason) == ("queue_size", "*", "a known peak")
    found = await client.list_alerts()
    assert [one.rule for one in found.mutes] == ["queue_size"]
    assert not found.watched
    assert (await client.unmute_alerts(rule="queue_size")).count == 1
    assert (await client.list_alerts()).mutes == []

    system = await client.get_system()
    assert system.kind == system.store.split(":")[0]
    assert system.answer_s >= 0
    checked = await client.check_store()
    assert checked.findings


async def _work(app: App, queue: str, *, failed: int) -> None:
    """Let a worker run a queue until so many jobs of it have failed."""
    worker = app.worker(queues=[queue])
    running = asyncio.ensure_future(worker.run())

    async def done() -> bool:
        info = await app.queue(queue).info()
        return info is not None and info.failed == failed

    try:
        await wait_until(done, what=f"{failed} failures")
    finally:
        worker.stop()
        await running
