"""The routes of the API: jobs for submitters, each tenant its own; the queue for operators."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from examples.saas_api.manager import get_default_queue_manager
from examples.saas_api.types import wire
from examples.saas_api.worker import ENV, app, queue, services
from starlette.applications import Starlette

from toril.web.access.control import AccessControl
from toril.web.access.tenants import TenantKeys
from toril.web.job_api import JobApiOptions, serve_jobs
from toril.web.own_notices import serve_notices
from toril.web.own_pace import CallerPace
from toril.web.own_routes import OwnRoutes
from toril.web.own_totals import serve_totals, totals_metrics
from toril.web.site import site

keys = TenantKeys.from_environment("API_KEYS", ENV)
everybody = AccessControl(app, host_users=keys)
operators = AccessControl(app, host_users=keys.operators)  # Toril's own pages know no tenants
is_old = ENV.get("API_ENVELOPE") == "1"
routes = OwnRoutes(everybody, queue=queue.name, timeout_s=1.8, enveloped=is_old)
pace = CallerPace.from_environment("SUBMIT_RATE", ENV, default="60/min")
options = JobApiOptions(pace=pace, priority=wire, attempts=3)
serve_jobs(routes, get_default_queue_manager(), options, path="/queue")
serve_totals(routes, services.totals, queue=queue.name, path="/queue")
serve_notices(routes, services.notices)
app.metrics(totals_metrics(services.totals, queue.name))


def mount_queue(web: Starlette, *prefixes: str) -> None:
    """Add the routes to an application, below each prefix."""
    web.router.routes.extend(routes.made(*prefixes))


@asynccontextmanager
async def life() -> AsyncIterator[None]:
    await services.prepare()
    await get_default_queue_manager().initialize()
    yield


web = site(
    app, [], access=operators, lifespan=life, board="/api/toril", interface="/api/toril/v1"
)  # fmt: skip
mount_queue(web, ENV.get("API_PREFIX", "/api"), "")
