"""Every route, on a store of each kind, over a real connection."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.waiting import wait_until
from tests.web.support import Served
from tests.web.walk import walk

from toril import App, RetryPolicy
from toril.client import AsyncClient
from toril.rest.bodies import NewJobBody


async def test_every_route_answers(app: App, client: AsyncClient) -> None:
    @app.task(queue="mail", retry=RetryPolicy(max_attempts=1))
    async def send(to: str) -> None:
        raise ValueError(f"no such address: {to}")

    broken = await send.enqueue(to="nobody")
    worker = app.worker(queues=["mail"])
    running = asyncio.ensure_future(worker.run())

    async def has_failed() -> bool:
        return await broken.state() == "failed"

    await wait_until(has_failed, what="the job to fail")
    worker.stop()
    await running
    waiting = await send.enqueue(to="somebody")

    await walk(client, app, "mail", waiting.id, broken.id)


async def test_jobs_are_listed_in_pages_with_only_the_fields_that_are_wanted(
    app: App, served: Served
) -> None:
    await app.queue("mail").add_many([("send", {"n": n}) for n in range(5)])

    seen: list[str] = []
    after = ""
    for _ in range(3):
        answer = await served.ask(
            "GET", f"/queues/mail/jobs?state=wait&limit=2&fields=id,data_preview{after}"
        )
        page = answer.json()
        assert all(list(item) == ["id", "data_preview"] for item in page["items"])
        seen += [item["data_preview"] for item in page["items"]]
        after = f"&after={page['next']}"

    assert seen == [f'{{"n":{n}}}' for n in range(5)]
    assert page["next"] is None


async def test_letters_of_another_application_need_no_worker(
    app: App, url: str, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server over a store alone knows no tasks, and so no dead-letter queues by their names."""
    monkeypatch.setattr("toril.web.attention.UNSERVED_S", 0.0)
    async with App(url) as other:

        @other.task(queue="mail", retry=RetryPolicy(max_attempts=1), dead_letter="mail.graves")
        async def send(to: str) -> None:
            raise ValueError(f"no such address: {to}")

        await send.enqueue(to="nobody")
        await other.worker().run(until_idle=True)
    await app.queue("lonely").add("send")

    found = await client.get_attention()

    assert await app.queue("mail.graves").info() is not None
    assert [(each.kind, each.queue) for each in found.items if each.queue] == [
        ("no-worker", "lonely")
    ]


async def test_queues_are_sorted_filtered_and_paged(app: App, client: AsyncClient) -> None:
    for name, many in (("mail-a", 1), ("mail-b", 3), ("push", 2)):
        await app.queue(name).add_many([("send", None)] * many)

    by_waiting = await client.list_queues(sort="-waiting")
    mail = await client.list_queues(prefix="mail-", limit=1)
    rest = await client.list_queues(prefix="mail-", limit=1, after=mail.next)

    assert [info.name for info in by_waiting.items] == ["mail-b", "push", "mail-a"]
    assert [info.name for info in mail.items + rest.items] == ["mail-a", "mail-b"]
    assert rest.next is None


async def test_poll_is_answered_304_until_something_happens(app: App, served: Served) -> None:
    await app.queue("mail").add("send")
    first = await served.ask("GET", "/queues")
    tag = {"if-none-match": first.headers["etag"]}

    again = await served.ask("GET", "/queues", headers=tag)
    await app.queue("mail").add("send")
    then = await served.ask("GET", "/queues", headers=tag)

    assert (again.status_code, again.content) == (304, b"")
    assert (then.status_code, then.json()["items"][0]["waiting"]) == (200, 2)


async def test_queue_with_a_slash_in_its_name_is_reached(app: App, client: AsyncClient) -> None:
    job = await app.queue("eu/mail 1%").add("send", {"to": "jo"})

    assert (await client.get_queue("eu/mail 1%")).queue.waiting == 1
    assert (await client.get_data("eu/mail 1%", job.id)).value == {"to": "jo"}


async def test_list_shows_beginnings_and_never_a_large_payload(app: App, served: Served) -> None:
    await app.queue("mail").add("send", {"text": "x" * 200_000})

    answer = await served.ask("GET", "/queues/mail/jobs")

    assert len(answer.content) < 2000
    (line,) = answer.json()["items"]
    assert len(line["data_preview"]) == 120
    assert line["data_bytes"] > 200_000


async def test_payload_of_a_new_job_is_checked_by_its_task(app: App, served: Served) -> None:
    @app.task(queue="mail")
    async def send(to: str, urgent: bool = False) -> None: ...

    async def refusal(body: object) -> tuple[int, object, str]:
        answer = await served.ask("POST", "/queues/mail/jobs", json=body)
        error = answer.json()["error"]
        return answer.status_code, error.get("field"), error["message"]

    assert await refusal({"name": "send", "data": {"to": 3}}) == (
        422, "to", "task 'send', field 'to': Expected `str`, got `int`; the value is 3",
    )  # fmt: skip
    status, field, text = await refusal({"name": "send", "data": {"to": "jo", "urgnt": True}})
    assert (status, field) == (422, "urgnt")
    assert "urgent" in text
    assert (await refusal({"name": "send", "data": {"to": "x" * 300_000}}))[0] == 413
    assert await app.queue("mail").info() is None


async def test_job_of_a_name_that_no_task_has_is_added_with_a_warning(
    app: App, client: AsyncClient
) -> None:
    """It was accepted without a word, and waited for a day."""

    @app.task(queue="mail")
    async def send() -> None: ...

    known, odd, many = (
        await client.add_job("mail", "send", {}),
        await client.add_job("mail", "sned", {}),
        await client.add_jobs_together(
            "mail", [NewJobBody(name="send"), NewJobBody(name="report")]
        ),
    )
    elsewhere = await client.add_job("other", "sned", {})

    assert known.warning is elsewhere.warning is many.jobs[0].warning is None
    assert odd.warning == (
        "the app has no task 'sned' on queue 'mail': perhaps 'send' is meant; only a worker of"
        " another program can run this job"
    )
    assert "it has send" in (many.jobs[1].warning or "")


async def test_second_request_with_the_same_key_adds_nothing(app: App, client: AsyncClient) -> None:
    first = await client.add_job("mail", "send", {"n": 1}, idempotency_key="order-7")
    again = await client.add_job("mail", "send", {"n": 1}, idempotency_key="order-7")
    other = await client.add_job("mail", "send", {"n": 1}, idempotency_key="order-8")
    await client.remove_job("mail", first.id)
    afterwards = await client.add_job("mail", "send", {"n": 1}, idempotency_key="order-7")

    assert (first.duplicate, again.duplicate, other.duplicate) == (False, True, False)
    assert again.id == first.id
    assert other.id != first.id
    assert not afterwards.duplicate or afterwards.id == first.id


async def test_jobs_of_a_batch_are_added_once_with_a_key(app: App, client: AsyncClient) -> None:
    bodies = [NewJobBody(name="send", data={"n": n}) for n in range(3)]

    first = await client.add_jobs_together("mail", bodies, idempotency_key="import-1")
    again = await client.add_jobs_together("mail", bodies, idempotency_key="import-1")

    assert [job.duplicate for job in first.jobs] == [False] * 3
    assert [(job.id, True) for job in first.jobs] == [(job.id, job.duplicate) for job in again.jobs]
    info = await app.queue("mail").info()
    assert info is not None
    assert info.waiting == 3


async def test_who_has_changed_something_is_told_with_the_reason(
    app: App, client: AsyncClient
) -> None:
    told: list[tuple[object, ...]] = []

    @app.on("operated")
    def remember(event: object) -> None:
        told.append(tuple(getattr(event, name) for name in ("verb", "actor", "reason", "queue")))

    await app.queue("mail").add("send")

    await client.pause_queue("mail", reason="the gateway is down")

    assert told == [("pause", "host:anybody", "the gateway is down", "mail")]


async def test_verb_over_many_jobs_ends_in_time_and_says_that_there_are_more(app: App) -> None:
    from tests.web.support import serve

    from toril.web.options import ServerOptions

    await app.queue("mail").add_many([("send", None)] * 1800)

    async with serve(app, ServerOptions(bulk_s=0.000001)) as served:
        first = (await served.ask("POST", "/queues/mail/drain", json={})).json()
        total = first["count"]
        while (part := (await served.ask("POST", "/queues/mail/drain", json={})).json())["more"]:
            total += part["count"]

    assert first == {"count": 500, "more": True}
    assert total + part["count"] == 1800
