"""The API: `/api/jobs` for administrators, the dashboard at `/jobs`, figures at `/metrics`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from examples.marketplace.app import ENV, QUEUES, app, close, prepare, services
from examples.marketplace.services import cron
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from toril.library.email.unsubscribing import read_token
from toril.services.objects.folder import FolderObjects
from toril.services.objects.serving import link_app
from toril.web.access.control import AccessControl
from toril.web.access.port import Permission
from toril.web.own_routes import Answer, OwnCall, OwnRoutes
from toril.web.queue_api import QueueApi, serve_queues
from toril.web.site import site

access = AccessControl(app)
routes = OwnRoutes(access, queue=None)
names = {name: QUEUES[name].job or name for name in QUEUES}
letters = "dead-letter"
api = QueueApi(app, [*QUEUES], dead_letter=letters, names=names, defaults=cron.schedule_defaults)
serve_queues(routes, api)
metrics = OwnRoutes(access, queue=None)


@metrics.on("GET", "/metrics", Permission.READ)
async def figures(_: OwnCall) -> Answer:
    return PlainTextResponse(await app.prometheus([*QUEUES]))


async def unsubscribe(request: Request) -> Response:
    """Note that somebody wants no more campaigns: by the link of a mail."""
    address = read_token(request.query_params.get("t", ""), key=ENV["EMAIL_UNSUBSCRIBE_KEY"])
    if address is None:
        return PlainTextResponse("This link is damaged.", 404)
    await services.mail.suppressions.add(address, "unsubscribed")
    return PlainTextResponse("You will get no more news from us.")


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    await prepare()
    yield
    await close()


own: list[BaseRoute] = [*routes.made("/api/jobs", "/api/v1/jobs"), *metrics.made("")]
own.append(Route("/unsubscribe", unsubscribe, methods=["GET", "POST"]))
if isinstance(services.objects, FolderObjects):  # a folder has no server of its own
    own.append(Mount("/files", link_app(services.objects)))
market = site(app, own, access=access, board="/jobs", lifespan=lifespan)
