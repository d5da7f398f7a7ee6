"""The platform's routes, its WebSocket, metrics and board."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from examples.content_platform.store import ENV, marks, media, services, settings
from starlette.responses import Response

from examples.content_platform import queues as q
from toril import Job
from toril.observability.prometheus import CONTENT_TYPE
from toril.web.access.control import AccessControl
from toril.web.access.port import Permission
from toril.web.dashboard import Dashboard
from toril.web.media_api import MediaApi, serve_media
from toril.web.own_routes import Answer, OwnCall, OwnRoutes
from toril.web.owner_sockets import OwnerSockets
from toril.web.running import port_of
from toril.web.serving import HttpServer
from toril.web.site import site
from toril.web.watched_metrics import metrics_text
from toril.web.watched_queues import log_to_stdout, watching

access = AccessControl(q.app)
routes = OwnRoutes(access, queue="media-processing", timeout_s=120)
sockets = OwnerSockets(access)
api = MediaApi(
    settings=settings, marks=marks, media=media, processing=q.MediaProcessingQueue,
    sync=q.MediaSyncQueue, watermark=q.WatermarkQueue, syncing=q.media_sync,
    marking=q.watermarks, events=q.events,
)  # fmt: skip
serve_media(routes, api, path="/api/admin")


@routes.on("GET", "/metrics", Permission.READ)
async def metrics(_: OwnCall) -> Answer:
    """All figures, for Prometheus."""
    name = "notification_queue_switches_total"
    return Response(await metrics_text(q.app, q.METERS, switches=name), media_type=CONTENT_TYPE)


async def tell(job: Job[Any], kind: str, **more: Any) -> None:
    """Tell the owner of an upload what became of it."""
    data = (await job.info()).data
    owner = data.get("userId") or data.get("uploadedBy")
    sockets.send(owner, {"type": kind, "jobId": job.id, **more})


@q.MediaProcessingQueue.on("completed")
async def processed(job: Job[Any], result: Any) -> None:
    """The variants are there."""
    await tell(job, "media.processed", mediaId=result["mediaId"], variants=result["variants"])


@q.MediaProcessingQueue.on("failed")
async def failed(job: Job[Any], error: Any) -> None:
    """It was refused, or could not be done."""
    await tell(job, "media.failed", error=error)


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """Tell of the queues, and have the board on a port of its own."""
    await services.prepare()
    host, port = ENV.get("HOST", "127.0.0.1"), port_of(ENV, "BOARD_PORT", 3030)
    pages = Dashboard(q.app, access=access, labels=q.LABELS)
    board = HttpServer(pages, host=host, port=port, settings="HOST or BOARD_PORT")
    async with watching(q.app, q.QUEUES):
        await board.start()
        print(f"Board on {board.url}, files in {settings.media_root}", flush=True)
        yield
        await board.stop()


log_to_stdout()
own = [*routes.made(), sockets.route("/ws/media")]
platform = site(q.app, own, access=access, board="/board", labels=q.LABELS, lifespan=lifespan)
