"""Four queues: which task runs their jobs, and the objects that add to them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from examples.content_platform.store import (
    EMBEDDED,
    ENV,
    URL,
    channels,
    marks,
    media,
    push,
    rules,
    services,
    settings,
)  # fmt: skip

from toril import App, Fallback, Job, Settings
from toril.library.images.published import PublishedUploads, with_urls
from toril.library.images.tasks import process_upload
from toril.library.images.watermark_service import WatermarkService
from toril.library.images.watermark_tasks import PublishedWatermarks, watermark
from toril.library.notify import EventRulesHandler, NotificationService, ScenarioEngine
from toril.library.notify.published import published_notification
from toril.library.notify.tasks import notify_send, notify_step
from toril.library.sync.published import published_sync
from toril.library.sync.service import MediaSyncService
from toril.library.sync.tasks import clean_media, media_cleanup, sync_object
from toril.services.rules.port import RuleStore
from toril.web.watched_metrics import Meter
from toril.web.watched_queues import WatchedQueue

fallback = None if EMBEDDED else Fallback(ENV["FALLBACK_URL"])
app = App(URL, fallback=fallback, settings=Settings.load(ENV), unknown_tasks="fail")
for value in (settings, marks, media, channels):
    app.provide(value)
app.provide(rules, RuleStore)
app.on_start(services.prepare)
for close in (push.close, services.close):
    app.on_stop(close)

uploads, stamps = PublishedUploads(settings), PublishedWatermarks(marks)
KINDS: dict[str, tuple[Any, Any, int, Any]] = {
    "media-processing": (process_upload, uploads.read, 5, with_urls),
    "media-sync": (sync_object, published_sync, 5, None),
    "watermark": (watermark, stamps.read, 3, None),
    "notifications": (notify_send, published_notification, 10, None),
}
for queue, (task, older, at_once, result) in KINDS.items():
    at_once = int(ENV.get(f"{queue.upper().replace('-', '_')}_CONCURRENCY", at_once))
    forms = [task, older]
    app.bind(queue, task, adapter=forms, rename="camel", concurrency=at_once, result=result)
app.bind("notifications", notify_step, names=notify_step.name)
app.include(media_cleanup)
app.schedule(ENV["MEDIA_CLEANUP_CRON"])(app.bound(clean_media))

MediaProcessingQueue = WatchedQueue(app, "media-processing", "MediaProcessingQueue")
MediaSyncQueue = WatchedQueue(app, "media-sync", "MediaSyncQueue")
WatermarkQueue = WatchedQueue(app, "watermark", "WatermarkQueue")
NotificationQueue = WatchedQueue(app, "notifications", "NotificationQueue")
MediaProcessingWorker = partial(app.worker, queues=["media-processing"])
MediaSyncWorker = partial(app.worker, queues=["media-sync"])
WatermarkWorker = partial(app.worker, queues=["watermark"])
NotificationWorker = partial(app.worker, queues=["notifications"])
QUEUES = (MediaProcessingQueue, MediaSyncQueue, WatermarkQueue, NotificationQueue)
LABELS = {queue.name: queue.class_name for queue in QUEUES}


def operation_of(data: Any) -> str:
    """Return what a sync job does, in our words."""
    return str(data.get("operation", "unknown")).partition("_")[0].replace("hard", "delete")


operations = ("upload", "download", "delete")
METERS = (
    Meter("media_processing", MediaProcessingQueue, duration=True),
    Meter("media_sync", MediaSyncQueue, "operation", operation_of, operations),
    Meter("watermark", WatermarkQueue),
    Meter("notification", NotificationQueue, "channel", lambda data: str(data["channel"])),
)
media_sync = MediaSyncService(app, media.records, task=app.adding(sync_object))
watermarks = WatermarkService(app, task=app.adding(watermark))
notifications = NotificationService(app.adding(notify_send))
scenarios = ScenarioEngine(app, app.adding(notify_step), rules)
events = EventRulesHandler(rules, notifications, scenarios)


async def add_watermark_job(data: Mapping[str, Any]) -> Job[Any]:
    """Add a job that puts a mark on a media."""
    return await WatermarkQueue.add(data)


def get_watermark_queue() -> WatchedQueue:
    """Return the queue of watermarks."""
    return WatermarkQueue
