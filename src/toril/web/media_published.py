"""The words of published clients for the routes of media, read and answered beside ours.

`serve_media` has them. They are told by their fields: `action` and `scope` of a sync, `type` of a
cleanup, and `entityId`, `alt`, `title` or `position` of an upload's form.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import quote

from starlette.responses import Response

from toril.core.errors import JobNotFoundError
from toril.engine.info import JobInfo
from toril.engine.states import READY, State
from toril.library.images.settings import MediaSettings
from toril.library.sync.cleaning import MEDIA_A_STEP, OLDER_THAN_DAYS
from toril.library.sync.orphans import OrphansFound, remove_orphans
from toril.library.sync.payloads import Operation
from toril.library.sync.published import PublishedOperation, published_sync
from toril.services.disk.folders import existing_folder
from toril.services.media.records import MediaRecord, MediaStatus
from toril.services.media.signatures import recognise
from toril.web.access.port import Permission
from toril.web.access.sight import Sight
from toril.web.media_upload import Upload
from toril.web.own_routes import Answer, OwnCall, Refusal
from toril.web.watched_queues import WatchedQueue

if TYPE_CHECKING:
    from toril.web.media_api import MediaApi

UPLOAD_FIELDS = ("alt", "title", "position")
"""Of an upload's form: they become its metadata, as `entityId` does."""
ACTIONS: tuple[str, ...] = (*get_args(PublishedOperation), *get_args(Operation))
SCOPES = ("all", "entity_type", "selected")
TYPES = ("soft_deleted", "orphans", "all")
_CLEANED = (State.COMPLETED, State.FAILED)
_OURS = re.compile(r"[0-9a-f]{32}")
"""Names of files that the upload has stored."""
_UNKNOWN = "application/octet-stream"
_PREVIEW = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def published_metadata(upload: Upload) -> dict[str, Any]:
    """Return what these fields say about the media.

    Raises:
        Refusal: The position is no number.
    """
    found: dict[str, Any] = {
        name: text
        for name in ("entityId", *UPLOAD_FIELDS)
        if (text := upload.fields.get(name, "")) != ""
    }
    if (position := found.get("position")) is not None:
        if not re.fullmatch(r"\d{1,9}", position):
            reason = f"position={position[:50]!r}: expected a number from 0"
            raise Refusal(422, "invalid", reason, field="position")
        found["position"] = int(position)
    return found


def uploaded(
    call: OwnCall, upload: Upload, settings: MediaSettings
) -> Callable[[str, str], tuple[int, dict[str, Any]]]:
    """Return what makes the answer to an upload, of the job's id and its queue.

    Ours is 202 and `queued`; to who sends fields of published clients it is 200 and `processing`.
    """
    base = call.request.url.path.rpartition("/")[0]
    content = _content(settings, upload.temp_path) or b""
    preview = {
        "filename": upload.filename,
        "size": upload.size_bytes,
        "mimeType": f"image/{kind}" if (kind := recognise(content)) else _UNKNOWN,
    }
    theirs = any(name in upload.fields for name in ("entityId", *UPLOAD_FIELDS))

    def answer(job_id: str, queue: str) -> tuple[int, dict[str, Any]]:
        return 200 if theirs else 202, {
            "jobId": job_id,
            "queue": queue,
            "status": "processing" if theirs else "queued",
            "success": True,
            "message": f"{upload.filename} is stored; job {job_id} makes its variants",
            "tempPreview": {"url": f"{base}/jobs/{quote(job_id, safe='')}/preview", **preview},
        }

    return answer


class PublishedMedia:
    """Answers published clients.

    Parameters:
        api: What it works with.
    """

    def __init__(self, api: MediaApi) -> None:
        self._api = api
        self._queues = {
            "processing": api.processing,
            "sync": api.sync,
            "watermark": api.watermark,
        }

    async def job(self, call: OwnCall) -> Answer:
        """Return a job: of `processing`, or of `?queue=sync` or `watermark`."""
        queue = self._queue(call.request.query_params.get("queue"))
        sight = Sight(call.principal, queue.app.masker)
        info = sight.job(await self._info(call, queue))
        if info is None:
            raise _forbidden(call, queue)
        return {
            "jobId": info.id,
            "status": "waiting" if info.state in READY else info.state.value,
            "progress": info.progress,
            "data": info.data,
            "result": info.result,
            "failedReason": info.failed_reason,
            "attemptsMade": info.attempts_made,
            "queueType": (await queue.app.store_state()).type,
        }

    async def preview(self, call: OwnCall) -> Answer:
        """Return the picture as it was uploaded, until its job has made the variants."""
        info = await self._info(call, self._api.processing)
        name = info.data.get("tempPath") if isinstance(info.data, dict) else None
        content = await asyncio.to_thread(_content, self._api.settings, name)
        kind = recognise(content or b"")
        if content is None or kind is None:
            reason = "there is no preview: the variants are made, or it is no picture"
            raise Refusal(404, "not_found", reason)
        return Response(content, media_type=f"image/{kind}", headers=_PREVIEW)

    async def steer(self, call: OwnCall) -> Answer:
        """Pause, resume or clean a queue: `action`, `queue`."""
        body = await call.json(action=str, queue=str | None)
        watched = self._queue(body["queue"])
        if not call.principal.may(Permission.ADMIN, watched.name):
            raise _forbidden(call, watched)
        queue = watched.app.queue(watched.name)
        match body["action"]:
            case "pause":
                await queue.pause()
                message = f"{watched.name} is paused; jobs that run go on"
            case "resume":
                await queue.resume()
                message = f"{watched.name} goes on"
            case "clean":
                counts = [len(await queue.clean(state)) for state in _CLEANED]
                message = f"{sum(counts)} jobs that had ended were removed from {watched.name}"
            case other:
                raise _unknown("action", other, ("pause", "resume", "clean"))
        return {"success": True, "message": message}

    async def sync(self, call: OwnCall) -> Answer:
        """Add sync jobs: `action`, `scope`, `entityType`, `mediaIds`, `overwrite`, `confirm`.

        A copy that is equal is never sent again, one that differs always is: `overwrite` changes
        nothing, and is there for clients that send it.
        """
        body = await call.json(
            action=str, scope=str, entityType=str | None, mediaIds=list[str] | None,
            overwrite=bool | None, confirm=str | None,
        )  # fmt: skip
        action, scope = body["action"], body["scope"]
        if action not in ACTIONS:
            raise _unknown("action", action, ACTIONS)
        if action in get_args(Operation):
            given = {"operation": action, "delete_source": False, "target": None}
        else:
            read = published_sync("", action)
            given = {name: read.get(name) for name in ("operation", "target")}
            given["delete_source"] = bool(read.get("delete_source"))
        if action == "hard_delete" and scope != "selected" and body["confirm"] != action:
            reason = f"confirm: to remove all media of the scope for good, add confirm={action}"
            raise Refusal(422, "invalid", reason, field="confirm", allowed=[action])
        syncing = self._api.syncing
        match scope:
            case "all":
                jobs = await syncing.sync_all(**given)
            case "entity_type":
                jobs = await syncing.sync_by_entity(_needed(body, "entityType", scope), **given)
            case "selected":
                ids = await self._api.known(_needed(body, "mediaIds", scope))
                jobs = await syncing.sync_ids(ids, **given)
            case other:
                raise _unknown("scope", other, SCOPES)
        job_ids = [job.id for job in jobs]
        shown = {
            "id": job_ids[0] if job_ids else None,
            "status": "pending" if job_ids else "completed",
            "operation": action,
            "totalFiles": len(job_ids),
        }
        return {"success": True, "job": shown, "jobIds": job_ids, "count": len(job_ids)}

    async def clean(self, call: OwnCall) -> Answer:
        """Remove media for good, by jobs: `type`, `dryRun`. Files of no media go at once."""
        body = await call.json(type=str, dryRun=bool | None)
        kind, dry_run = body["type"], bool(body["dryRun"])
        if kind not in TYPES:
            raise _unknown("type", kind, TYPES)
        ids: list[str] = []
        skipped = 0
        if kind != "orphans":
            ids, skipped = await asyncio.to_thread(self._deleted)
            if not dry_run:
                await self._api.syncing.sync_ids(ids, "delete", target="record")
        lost = OrphansFound()
        if kind != "soft_deleted":
            lost = await asyncio.to_thread(remove_orphans, self._api.media, dry_run=dry_run)
        result = {
            "success": lost.errors == 0,
            "queuedForDeletion": len(ids) + lost.found - lost.errors,
            "errors": lost.errors,
            "skipped": skipped + lost.young,
            "dryRun": dry_run,
        }
        return {"success": True, "result": result}

    def _deleted(self) -> tuple[list[str], int]:
        """Return the soft-deleted media that are old enough, and how many are not."""
        before = datetime.now(UTC) - timedelta(days=OLDER_THAN_DAYS)
        ids: list[str] = []
        young, after = 0, None
        while True:
            page: Sequence[MediaRecord] = self._api.media.records.list(
                status=MediaStatus.SOFT_DELETED, after=after, limit=MEDIA_A_STEP
            )
            for record in page:
                if record.deleted_at is not None and record.deleted_at < before:
                    ids.append(record.media_id)
                else:
                    young += 1
            if len(page) < MEDIA_A_STEP:
                return ids, young
            after = page[-1].media_id

    def _queue(self, name: str | None) -> WatchedQueue:
        found = self._queues.get(name or "processing")
        if found is None:
            raise _unknown("queue", name or "", tuple(self._queues))
        return found

    async def _info(self, call: OwnCall, queue: WatchedQueue) -> JobInfo:
        job_id = call.request.path_params["job_id"]
        try:
            return await queue.get_job(job_id).info()
        except JobNotFoundError:
            reason = f"jobId={job_id[:200]!r}: {queue.name} has no such job, or keeps it no longer"
            raise Refusal(404, "not_found", reason, field="jobId") from None


def _content(settings: MediaSettings, name: object) -> bytes | None:
    """Return a file that an upload has stored; None if it is not there, or of others."""
    if not isinstance(name, str) or not _OURS.fullmatch(name):
        return None
    with existing_folder(settings.temp_dir, settings.access) as folder:
        return folder.read(name, settings.max_bytes)


def _forbidden(call: OwnCall, queue: WatchedQueue) -> Refusal:
    reason = f"queue: {call.principal.name} is not an administrator of {queue.name}"
    return Refusal(403, "forbidden", reason, field="queue")


def _needed(body: dict[str, Any], field: str, scope: str) -> Any:
    if not body[field]:
        reason = f"{field}: it is missing; scope={scope!r} needs it"
        raise Refusal(422, "invalid", reason, field=field)
    return body[field]


def _unknown(field: str, value: str, known: Sequence[str]) -> Refusal:
    reason = f"{field}={value[:200]!r}: expected {', '.join(known)}"
    return Refusal(422, "invalid", reason, field=field, allowed=list(known))
