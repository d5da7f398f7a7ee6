"""Routes of a platform's media: upload, watermark, sync, counts, cleaning, events.

```python
api = MediaApi(settings=settings, marks=marks, media=media, processing=…, sync=…, watermark=…,
               syncing=MediaSyncService(app, media.records), marking=WatermarkService(app),
               events=handler)
serve_media(routes, api, path="/api/admin")
```
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from starlette.responses import Response

from toril.core.errors import InvalidPayloadError
from toril.library.images.settings import MediaSettings
from toril.library.images.watermark_payloads import Position
from toril.library.images.watermark_service import WatermarkService
from toril.library.images.watermark_settings import WatermarkSettings
from toril.library.notify.rules import EventRulesHandler
from toril.library.sync.cleaning import OLDER_THAN_DAYS, clean
from toril.library.sync.payloads import Operation
from toril.library.sync.service import MediaSyncService
from toril.library.sync.syncing import MediaSync
from toril.services.media.records import MediaRecord
from toril.services.unusable import UnusableInputError
from toril.web.access.port import Permission
from toril.web.media_published import PublishedMedia, published_metadata, uploaded
from toril.web.media_upload import (
    Upload,
    json_field,
    receive_upload,
    record_body,
    remove_upload,
)
from toril.web.own_routes import Answer, OwnCall, OwnRoutes, Refusal
from toril.web.watched_queues import WatchedQueue

MAX_MEDIA = 10_000
"""Of one sync request."""


@dataclass(frozen=True, kw_only=True)
class MediaApi:
    """What the routes work with."""

    settings: MediaSettings
    marks: WatermarkSettings
    media: MediaSync
    processing: WatchedQueue
    sync: WatchedQueue
    watermark: WatchedQueue
    syncing: MediaSyncService
    marking: WatermarkService
    events: EventRulesHandler

    @property
    def published(self) -> PublishedMedia:
        """The words of published clients."""
        return PublishedMedia(self)

    async def found(self, media_id: str, field: str = "mediaId") -> MediaRecord:
        """Return the record of a media.

        Raises:
            Refusal: There is none (404).
        """
        record = await asyncio.to_thread(self.media.records.find, media_id)
        if record is None:
            reason = f"{field}={media_id[:200]!r}: there is no such media"
            raise Refusal(404, "not_found", reason, field=field)
        return record

    async def known(self, media_ids: Sequence[str]) -> Sequence[str]:
        """Return the ids that a request names.

        Raises:
            Refusal: They are too many (422), or one is of no media (404).
        """
        if len(media_ids) > MAX_MEDIA:
            reason = f"mediaIds: {len(media_ids):,}, and a request takes {MAX_MEDIA:,}"
            raise Refusal(422, "invalid", reason, field="mediaIds")
        for media_id in media_ids:
            await self.found(media_id, "mediaIds")
        return media_ids

    async def upload(self, call: OwnCall) -> Answer:
        """Store a file and add its job: a form with `file`, `entityType` and so on.

        It is answered in our words and in those of published clients.
        """
        upload = await receive_upload(call.request, self.settings)
        try:
            # Read before a worker has taken the file away.
            told = await asyncio.to_thread(uploaded, call, upload, self.settings)
            job = await self.processing.add(await self._payload(upload))
        except BaseException:
            remove_upload(self.settings, upload)
            raise
        return told(job.id, self.processing.name)

    async def _payload(self, upload: Upload) -> dict[str, Any]:
        fields, known = upload.fields, sorted(self.settings.presets.by_entity)
        kind = fields.get("entityType", "")
        if kind not in known:
            reason = f"entityType={kind!r}: expected {', '.join(known)}"
            raise Refusal(422, "invalid", reason, field="entityType", allowed=known)
        data: dict[str, Any] = {
            "entityType": kind,
            "tempPath": upload.temp_path,
            "originalFilename": upload.filename,
        }
        if media_id := fields.get("mediaId"):
            data["mediaId"] = (await self.found(media_id)).media_id
        if user_id := fields.get("userId"):
            data["userId"] = user_id
        if (metadata := json_field(fields, "metadata")) is not None:
            data["metadata"] = metadata
        if more := published_metadata(upload):
            data["metadata"] = {**more, **data.get("metadata", {})}
        return data

    async def mark(self, call: OwnCall) -> Answer:
        """Add a watermark job: `watermarkId`, `position`, `opacity`, `scale`, `variants`."""
        kinds = {"watermarkId": str, "position": str, "opacity": float, "scale": float}
        body = await call.json(**kinds, variants=list[str] | None)
        record = await self.found(call.request.path_params["media_id"])
        if (mark := body["watermarkId"]) not in self.marks.marks:
            reason, known = f"watermarkId={mark!r}: not registered", sorted(self.marks.marks)
            raise Refusal(422, "invalid", reason, field="watermarkId", allowed=known)
        try:
            (job,) = await self.marking.apply_batch(
                [record.media_id],
                watermark_id=mark,
                position=body["position"],
                opacity=body["opacity"],
                scale=body["scale"],
                variants=body["variants"],
            )
        except InvalidPayloadError as error:
            raise _one_of(error, "position", get_args(Position)) from None
        return 202, {"jobId": job.id, "queue": self.watermark.name}

    async def sync_some(self, call: OwnCall) -> Answer:
        """Add a sync job for each of `mediaIds`: `operation`, `deleteSource`, `priority`."""
        if {"action", "scope"} & (await call.body()).keys():
            return await self.published.sync(call)
        body = await call.json(
            mediaIds=list[str], operation=str, deleteSource=bool | None, priority=int | None
        )
        media_ids = await self.known(body["mediaIds"])
        try:
            jobs = await self.syncing.sync_ids(
                media_ids,
                cast("Operation", body["operation"]),
                delete_source=body["deleteSource"] or False,
                priority=body["priority"],
            )
        except InvalidPayloadError as error:
            raise _one_of(error, "operation", get_args(Operation)) from None
        return 202, {"jobIds": [job.id for job in jobs], "count": len(jobs)}

    async def counts(self, _: OwnCall) -> Answer:
        """Count the jobs of the three queues."""
        return {
            "processing": await self.processing.get_stats(),
            "sync": await self.sync.get_stats(),
            "watermark": await self.watermark.get_stats(),
        }

    async def clean(self, call: OwnCall) -> Answer:
        """Remove soft-deleted media for good: `olderThanDays`, `status`."""
        if {"type", "dryRun"} & (await call.body()).keys():
            return await self.published.clean(call)
        body = await call.json(olderThanDays=int | None, status=str | None)
        given = body["olderThanDays"]
        days = OLDER_THAN_DAYS if given is None else given
        if not 0 <= days <= 36_500:
            reason = f"olderThanDays={days}: expected 0 to 36500"
            raise Refusal(422, "invalid", reason, field="olderThanDays")
        if body["status"] not in (None, "soft_deleted"):
            reason, known = f"status={body['status']!r}: expected soft_deleted", ["soft_deleted"]
            raise Refusal(422, "invalid", reason, field="status", allowed=known)
        done = await asyncio.to_thread(clean, self.media, older_than_days=days)
        left = {"left": done.left, "reasons": done.reasons} if done.left else {}
        return {"deleted": done.deleted, "freedBytes": done.freed_bytes, **left}

    async def show(self, call: OwnCall) -> Answer:
        """Return the record of a media."""
        return record_body(await self.found(call.request.path_params["media_id"]))

    async def soft_delete(self, call: OwnCall) -> Answer:
        """Take a media away from the public; its files go later."""
        record = await self.found(call.request.path_params["media_id"])
        await asyncio.to_thread(self.media.records.soft_delete, record.media_id)
        return Response(status_code=204)

    async def happened(self, call: OwnCall) -> Answer:
        """Add the jobs that follow an event: `event`, `id`, `payload`."""
        body = await call.json(event=str, id=str | None, payload=dict)
        try:
            jobs = await self.events.handle(body["event"], body["payload"], event_id=body["id"])
        except UnusableInputError as error:
            raise Refusal(422, "invalid", str(error), field="payload") from None
        return 202, {"jobIds": [job.id for job in jobs]}


def _one_of(error: InvalidPayloadError, field: str, known: Sequence[str]) -> Refusal:
    """Return a refusal that lists what a field may be, if the error is about this field."""
    listed = list(known) if error.field == field else None
    hint = f"; expected one of {', '.join(known)}" if listed else ""
    reason = f"{error.field}: {error.problem}{hint}"
    return Refusal(422, "invalid", reason, field=error.field, allowed=listed)


def serve_media(routes: OwnRoutes, api: MediaApi, *, path: str) -> None:
    """Add the routes below a path. All of them need an administrator."""
    media = f"{path}/media"
    for method, route, handler in (
        ("POST", f"{media}/upload-async", api.upload),
        ("POST", f"{media}/sync", api.sync_some),
        ("GET", f"{media}/queue", api.counts),
        ("POST", f"{media}/queue", api.published.steer),
        ("GET", f"{media}/jobs/{{job_id}}", api.published.job),
        ("GET", f"{media}/jobs/{{job_id}}/preview", api.published.preview),
        ("POST", f"{media}/cleanup", api.clean),
        ("POST", f"{media}/{{media_id}}/watermark", api.mark),
        ("GET", f"{media}/{{media_id}}", api.show),
        ("DELETE", f"{media}/{{media_id}}", api.soft_delete),
        ("POST", f"{path}/events", api.happened),
    ):
        routes.on(method, route, Permission.ADMIN)(handler)
