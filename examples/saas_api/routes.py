"""The routes of the API: jobs for submitters, each tenant its own; the queue for operators."""

from examples.saas_api.manager import get_default_queue_manager
from examples.saas_api.types import wire
from examples.saas_api.worker import ENV, app, queue, services
from starlette.applications import Starlette

from toril.web.access.control import AccessControl
from toril.web.access.port import Permission
from toril.web.access.tenants import TenantKeys
from toril.web.job_api import JobApiOptions, serve_jobs
from toril.web.own_pace import CallerPace
from toril.web.own_routes import Answer, OwnCall, OwnRoutes

keys = TenantKeys.from_environment("API_KEYS", ENV)
access, is_enveloped = AccessControl(app, host_users=keys), ENV.get("API_ENVELOPE") == "1"
routes = OwnRoutes(access, queue=queue.name, timeout_s=1.8, enveloped=is_enveloped)
pace = CallerPace.of(ENV.get("SUBMIT_RATE", "60/min"))
options = JobApiOptions(pace=pace, priority=wire, attempts=3)
serve_jobs(routes, get_default_queue_manager(), options, path="/queue")


@routes.on("GET", "/notifications", Permission.READ)
async def notifications(call: OwnCall) -> Answer:
    found = await services.notices.of_user(call.user, tenant_id=call.tenant)
    return {"notifications": [
        {"id": one.id, "type": one.type, "title": one.title, "body": one.body,
         "metadata": one.metadata, "createdAt": one.created_at, "readAt": one.read_at}
        for one in found
    ]}  # fmt: skip


def mount_queue(web: Starlette, *prefixes: str) -> None:
    """Add the routes to an application, below each prefix."""
    web.router.routes.extend(routes.made(*prefixes))
