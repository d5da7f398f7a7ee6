"""A round to look at: files uploaded, what the socket tells of them, an event, a notice."""

import json
import sys
import time

import httpx2
from examples.content_platform.app import access
from examples.content_platform.store import FOLDER, services
from websockets.asyncio.client import connect

from examples.content_platform import queues as q
from toril.library.images.samples import sample_folder

UPLOAD, EVENT = "/api/admin/media/upload-async", "user.registered"


async def show(url: str) -> None:
    """Upload as a client does, print what it is told, and add other jobs."""
    await access.keys.remove("demo")
    key = await access.keys.add("demo", role="admin", payloads=True, expires=24 * 3600)
    head = {"Authorization": f"Bearer {key}"}
    async with (
        q.app.worker(concurrency=23),
        connect(f"{url.replace('http', 'ws', 1)}/ws/media", additional_headers=head) as socket,
        httpx2.AsyncClient(base_url=url, headers=head, timeout=60) as client,
    ):
        began: dict[str, tuple[str, float]] = {}
        for path in sample_folder(FOLDER / "samples"):
            file, data = (path.name, path.read_bytes()), {"entityType": "listing_image"}
            answer = await client.post(UPLOAD, data=data, files={"file": file})
            began[answer.raise_for_status().json()["jobId"]] = path.name, time.monotonic()
        while began:
            told = json.loads(await socket.recv())
            name, since = began.pop(told["jobId"])
            what = told.get("error") or f"{len(told['variants'])} sizes"
            print(f"{time.monotonic() - since:5.2f} s  {told['type']:15}  {name}: {what}")
        options = {"to": "{{ payload.email }}", "template": "welcome"}
        await q.events.save({"id": "hi", "event": EVENT, "channel": "email", "options": options})
        await q.events.handle(EVENT, {"email": "jo@example.com"}, event_id="demo")
        await q.notifications.send("database", {"to": "jo", "subject": "Hi", "text": "You are in."})
    await q.app.worker(concurrency=23).run(until_idle=True)
    for notice in await services.notices.of_user("jo", limit=1):
        print(f"Jo reads: {notice.title} {notice.body}")
    for queue in q.QUEUES:
        stats = await queue.get_stats()
        print(f"{queue.name:17}{stats['completed']:2} completed  {stats['failed']:2} failed")
    print(f"Files, mails, objects and jobs: {FOLDER}\nA key for the API, for a day: {key}")
    if sys.stdin.isatty():  # else all of this ends now, and nobody can follow a link
        print(f"This signs you in: {url}/board/login?link={await access.links.for_key('demo')}")
