"""Ready-made tasks: messages to the browsers of users; a retry tells only who was not told.

Needs the extra `push`: `pip install '.[push]'` in a clone.

Run:
    python examples/push.py

Prints:
    attempt 1: the phone's push service is down
    sent 2, failed 0, of 2
    laptop was told 1 time, phone 1 time
"""

import asyncio
import logging

from toril import App, HookEvent
from toril.library.push import PushPayload, PushService, PushSettings
from toril.library.push.tasks import push, send
from toril.services.push.memory import MemoryPusher
from toril.services.push.memory_subscriptions import MemorySubscriptions
from toril.services.push.port import Verdict

KEYS = {  # a browser makes its own; these are the example of RFC 8291
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcx"
    "aOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}
PHONE, LAPTOP = "https://push.example/phone", "https://push.example/laptop"

pusher = MemoryPusher()  # PushService() sends by Web Push, with the keys of the environment
settings = PushSettings(egress_allow=("push.example",))
service = PushService(settings, pusher=pusher, subscriptions=MemorySubscriptions())
app = App("sqlite://:memory:")
app.include(push)
app.provide(service)


@app.on("retried")
def phone_is_back(event: HookEvent) -> None:
    print("attempt 1: the phone's push service is down")
    pusher.verdicts.clear()


async def main() -> None:
    for endpoint in (PHONE, LAPTOP):
        await service.subscribe("ann", {"endpoint": endpoint, "keys": KEYS})
    pusher.verdicts[PHONE] = Verdict(kind="later", reason="push.example answered 503")
    logging.disable(logging.WARNING)  # it tells of the phone
    async with app, app.worker():
        task = app.bound(send).with_options(backoff_s=0.1)
        job = await task.enqueue("ann", PushPayload(title="New message", body="Noon?"))
        result = await job.result(timeout_s=10)
    print(f"sent {result.sent}, failed {result.failed}, of {result.total}")
    told = [subscription.endpoint for subscription, _ in pusher.sent]
    print(f"laptop was told {told.count(LAPTOP)} time, phone {told.count(PHONE)} time")


if __name__ == "__main__":
    asyncio.run(main())
