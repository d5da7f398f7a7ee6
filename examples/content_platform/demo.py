"""A round to look at: photographs and bad files, an event, a notice, all by jobs."""

import json
import secrets

from examples.content_platform.store import FOLDER, services, settings

from examples.content_platform import queues as q
from toril.library.images.samples import sample_folder


async def show(url: str) -> None:
    """Add jobs, run them, and print what became of them."""
    print(f"The platform is on {url}; jobs, files, mails and objects are in {FOLDER}", flush=True)
    folder = settings.temp_dir / secrets.token_hex(4)
    for path in sample_folder(folder):
        name = f"{folder.name}/{path.name}"
        data = {"entityType": "listing_image", "tempPath": name, "originalFilename": path.name}
        await q.MediaProcessingQueue.add(data)
    rule = {"id": "welcome", "event": "user.registered", "channel": "email"}
    options = {"to": "{{ payload.email }}", "template": "welcome"}
    await q.events.save({**rule, "options": options})
    await q.events.handle("user.registered", {"email": "jo@example.com"}, event_id="demo")
    await q.notifications.send("database", {"to": "jo", "subject": "Hi", "text": "You are in."})
    await q.app.worker(concurrency=23).run(until_idle=True)
    for notice in await services.notices.of_user("jo", limit=1):
        print(f"Jo reads: {notice.title} {notice.body}")
    print(json.dumps({queue.name: await queue.get_stats() for queue in q.QUEUES}, indent=2))
