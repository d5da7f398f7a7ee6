"""`python -m examples.saas_api`: API, dashboard and worker in one process; `api`: no worker."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from examples.saas_api.manager import get_default_queue_manager
from examples.saas_api.routes import access, keys, mount_queue
from examples.saas_api.worker import ENV, FOLDER, app, services
from starlette.applications import Starlette
from starlette.routing import Mount

from toril.web.access.control import AccessControl
from toril.web.dashboard import Dashboard
from toril.web.serving import HttpServer

board = Dashboard(app, access=AccessControl(app, host_users=keys.operators), path="/v1")


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    async with app, board.router.lifespan_context(board):
        await services.prepare()
        await get_default_queue_manager().initialize()
        yield


web = Starlette(lifespan=lifespan)
mount_queue(web, ENV.get("API_PREFIX", "/api"), "")
web.router.routes.append(Mount("/api/toril", app=board))


async def main() -> None:
    server = HttpServer(web, host=ENV.get("HOST", "127.0.0.1"), port=int(ENV.get("PORT", "3001")))
    await server.start()
    key = await access.keys.first() or "$KEY"
    print(f"API {server.url}/api/queue   dashboard {server.url}/api/toril   files {FOLDER}")
    print(f"jobs in {app!r}, mails by {services.mail!r}, objects in {services.objects!r}")
    sample = {"to": "user@example.com", "subject": "Hi", "template": "test"}
    body = json.dumps({"type": "EMAIL_SEND", "data": sample, "options": {"priority": 10}})
    print(f"KEY={key}  # an administrator's; only the first start makes and shows it")
    print(f"curl {server.url}/api/queue/jobs -H 'Authorization: Bearer {key}' -d '{body}'")
    worker, stopped = app.worker(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        stop = stopped.set if "api" in sys.argv else worker.stop
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await (stopped.wait() if "api" in sys.argv else worker.run())
    await server.stop()


if __name__ == "__main__":
    asyncio.run(main())
