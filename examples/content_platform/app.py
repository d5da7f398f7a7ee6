"""The platform's own routes, its WebSocket, metrics and board."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from examples.content_platform.store import ENV, marks, media, services, settings
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from examples.content_platform import queues as q
from toril import Job
from toril.library.sync.cleaning import clean
from toril.observability.prometheus import CONTENT_TYPE
from toril.services.media.records import MediaRecord
from toril.web.access.control import AccessControl
from toril.web.access.port import Permission
from toril.web.dashboard import Dashboard
from toril.web.media_upload import json_field, receive_upload, record_body, remove_upload
from toril.web.own_routes import Answer, OwnCall, OwnRoutes, Refusal
from toril.web.owner_sockets import OwnerSockets
from toril.web.serving import HttpServer
from toril.web.site import site
from toril.web.watched_metrics import metrics_text
from toril.web.watched_queues import log_to_stdout, watching

access = AccessControl(q.app)
routes = OwnRoutes(access, queue="*", timeout_s=120)
sockets = OwnerSockets(access)
admin = partial(routes.on, permission=Permission.ADMIN)
BASE = "/api/admin"


async def found(media_id: str) -> MediaRecord:
    record = await run_in_threadpool(media.records.find, media_id)
    if record is None:
        raise Refusal(404, "not_found", f"mediaId={media_id!r}: there is no such media")
    return record


@admin("POST", f"{BASE}/media/upload-async")
async def upload(call: OwnCall) -> Answer:
    got = await receive_upload(call.request, settings)
    try:
        kind, media_id = got.fields.get("entityType", ""), got.fields.get("mediaId")
        if kind not in settings.presets.by_entity:
            known = sorted(settings.presets.by_entity)
            message = f"entityType={kind!r}: not known; expected {', '.join(known)}"
            raise Refusal(422, "invalid", message, field="entityType", allowed=known)
        data: dict[str, Any] = {"entityType": kind, "tempPath": got.temp_path}
        data |= {"originalFilename": got.filename}
        data |= {"userId": got.fields["userId"]} if got.fields.get("userId") else {}
        if media_id:
            data["mediaId"] = (await found(media_id)).media_id
        if (metadata := json_field(got.fields, "metadata")) is not None:
            data["metadata"] = metadata
        job = await q.MediaProcessingQueue.add(data)
    except BaseException:
        remove_upload(settings, got)
        raise
    return 202, {"jobId": job.id, "queue": "media-processing", "status": "queued"}


@admin("POST", f"{BASE}/media/{{media_id}}/watermark")
async def watermark(call: OwnCall) -> Answer:
    kinds = {"watermarkId": str, "position": str, "opacity": float, "scale": float}
    body = await call.json(**kinds, variants=list[str] | None)
    if body["watermarkId"] not in marks.marks:
        message = f"watermarkId={body['watermarkId']!r}: not registered"
        raise Refusal(422, "invalid", message, field="watermarkId", allowed=sorted(marks.marks))
    record = await found(call.request.path_params["media_id"])
    given = {name: value for name, value in body.items() if value is not None}
    job = await q.add_watermark_job({"mediaId": record.media_id, **given})
    return 202, {"jobId": job.id, "queue": "watermark"}


@admin("POST", f"{BASE}/media/sync")
async def sync(call: OwnCall) -> Answer:
    kinds: dict[str, Any] = {"mediaIds": list[str], "operation": str}
    body = await call.json(**kinds, deleteSource=bool | None, priority=int | None)
    ids = [(await found(media_id)).media_id for media_id in body["mediaIds"]]
    jobs = await q.media_sync.sync_ids(
        ids, body["operation"], delete_source=body["deleteSource"] or False,
        priority=body["priority"],
    )  # fmt: skip
    return 202, {"jobIds": [job.id for job in jobs], "count": len(jobs)}


@admin("GET", f"{BASE}/media/queue")
async def stats(_: OwnCall) -> Answer:
    shown = {"processing": q.MediaProcessingQueue, "sync": q.MediaSyncQueue}
    shown["watermark"] = q.WatermarkQueue
    return {name: await queue.get_stats() for name, queue in shown.items()}


@admin("POST", f"{BASE}/media/cleanup")
async def cleanup(call: OwnCall) -> Answer:
    body = await call.json(olderThanDays=int | None, status=str | None)
    days = 30 if body["olderThanDays"] is None else body["olderThanDays"]
    if days < 0 or body["status"] not in (None, "soft_deleted"):
        field, value = ("olderThanDays", days) if days < 0 else ("status", body["status"])
        raise Refusal(422, "invalid", f"{field}={value!r}: expected days from 0 and soft_deleted",
                      field=field, allowed=["soft_deleted"])  # fmt: skip
    done = await run_in_threadpool(clean, media, older_than_days=days)
    return {"deleted": done.deleted, "freedBytes": done.freed_bytes}


@admin("GET", f"{BASE}/media/{{media_id}}")
async def get_media(call: OwnCall) -> Answer:
    return record_body(await found(call.request.path_params["media_id"]))


@admin("DELETE", f"{BASE}/media/{{media_id}}")
async def delete_media(call: OwnCall) -> Answer:
    record = await found(call.request.path_params["media_id"])
    await run_in_threadpool(media.records.soft_delete, record.media_id)
    return Response(status_code=204)


@admin("POST", f"{BASE}/events")
async def happened(call: OwnCall) -> Answer:
    body = await call.json(event=str, id=str | None, payload=dict)
    jobs = await q.events.handle(body["event"], body["payload"], event_id=body["id"])
    return 202, {"jobIds": [job.id for job in jobs]}


@routes.on("GET", "/metrics", Permission.READ)
async def metrics(_: OwnCall) -> Answer:
    name = "notification_queue_switches_total"
    return Response(await metrics_text(q.app, q.METERS, switches=name), media_type=CONTENT_TYPE)


async def tell(job: Job[Any], message: dict[str, Any]) -> None:
    data = (await job.info()).data
    user = data.get("userId") or data.get("uploadedBy")
    sockets.send(user, {"type": message.pop("type"), "jobId": job.id, **message})


@q.MediaProcessingQueue.on("completed")
async def processed(job: Job[Any], result: Any) -> None:
    shown = {name: result[name] for name in ("mediaId", "variants")}
    await tell(job, {"type": "media.processed", **shown})


@q.MediaProcessingQueue.on("failed")
async def failed(job: Job[Any], error: Any) -> None:
    await tell(job, {"type": "media.failed", "error": error})


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    log_to_stdout()
    await services.prepare()
    port, host = int(ENV["BOARD_PORT"]), ENV.get("HOST", "127.0.0.1")
    board = HttpServer(Dashboard(q.app, access=access), host=host, port=port)
    async with watching(q.app, q.QUEUES):
        await board.start()
        print(f"Board on {board.url}, files in {settings.media_root}", flush=True)
        yield
        await board.stop()


platform = site(
    q.app, [*routes.made(), sockets.route("/ws/media")], access=access, board="/board",
    lifespan=lifespan,
)  # fmt: skip
