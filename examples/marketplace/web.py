"""The API: `/api/jobs` for administrators, the dashboard at `/jobs`, figures at `/metrics`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from examples.marketplace.app import QUEUES, app, prepare, services, work
from examples.marketplace.services import cron
from starlette.routing import BaseRoute, Mount

from toril.services.objects.folder import FolderObjects
from toril.services.objects.serving import link_app
from toril.web.access.control import AccessControl
from toril.web.own_routes import OwnRoutes
from toril.web.payment_webhooks import webhook_route
from toril.web.queue_api import QueueApi, metrics_routes, serve_queues
from toril.web.site import site
from toril.web.unsubscribe_route import unsubscribe_route

access = AccessControl(app)
routes = OwnRoutes(access, queue=None)
letters, defaults, names = "dead-letter", cron.schedule_defaults, QUEUES.jobs
api = QueueApi(app, [*QUEUES], dead_letter=letters, names=names, defaults=defaults)
serve_queues(routes, api)


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    await prepare()
    yield
    await work.close()


own: list[BaseRoute] = [*routes.made("/api/jobs", "/api/v1/jobs"), *metrics_routes(app, access)]
own += [unsubscribe_route(services.mail), webhook_route(app, work.providers)]
if isinstance(services.objects, FolderObjects):  # it has no server of its own
    own.append(Mount("/files", link_app(services.objects)))
market = site(app, own, access=access, board="/jobs", lifespan=lifespan)
