"""The workers' side: a processor for each queue. WORKER_TYPE says which of them a worker has."""

import hashlib
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from examples.typed_queues.shared.app import ENV, FOLDER, app
from examples.typed_queues.shared.queues import courses as c
from examples.typed_queues.shared.queues import example as ex
from examples.typed_queues.shared.queues import my_feature as my
from examples.typed_queues.shared.queues import others
from examples.typed_queues.shared.queues.heavy_processing import HEAVY_QUEUE, Data
from examples.typed_queues.shared.queues.registry import QUEUES

import toril.library.video.tasks as videos
from toril import Fail, HookEvent
from toril.library.documents import MadePdf
from toril.library.documents.tasks import pdf
from toril.library.email.tasks import send
from toril.library.environment import Services
from toril.library.flows import CollectSettings
from toril.library.flows.tasks import collect
from toril.library.notify.tasks import in_app
from toril.typed import Processor, ProcessorJob, Processors, TaskEvents, TaskProcessor, noted_in

services = Services.from_environment(ENV, folder=FOLDER, sender="Tasks <tasks@example.com>")
events = TaskEvents("example.task", noted_in(services.notices))
Job = ProcessorJob[ex.ExampleJobPayload]


class ExampleProcessor(Processor[ex.ExampleJobPayload, ex.ExampleJobResult], spec=ex.EXAMPLE_QUEUE):
    async def process(self, job: Job) -> ex.ExampleJobResult:
        actions = {"send-email": self.mail, "generate-report": self.report, "sync-data": self.sync}
        async with events.attempt(job, job.data.action, by=job.data.user_id):
            if job.data.action not in actions:
                raise Fail(f"action={job.data.action!r}: expected one of {', '.join(actions)}")
            message = await actions[job.data.action](job)
        return ex.ExampleJobResult(True, datetime.now(UTC).isoformat(), message)

    async def mail(self, job: Job) -> str:
        to = job.data.data.get("email")
        if not isinstance(to, str):
            raise Fail(f"data.email={to!r}: expected an address, for the action send-email")
        await send(job.context, to=to, template="welcome", service=services.mail)
        return f"a mail was sent to {to}"

    async def report(self, job: Job) -> str:
        job.context.enqueue("process", {"pdfId": f"report-{job.id}"}, queue=c.PDF_QUEUE.name)
        return f"the report report-{job.id} will be made"

    async def sync(self, job: Job) -> str:
        await services.objects.put(f"sync/{job.id}.json", msgspec.json.encode(job.data.data))
        return f"the data is in sync/{job.id}.json"

    def on_failed(self, job: HookEvent, error: str) -> None:
        logging.getLogger("tasks").error("job %s: %s: %s", job.job_id, job.name, error)


class MyFeatureProcessor(
    Processor[my.MyFeatureJobPayload, my.MyFeatureJobResult], spec=my.MY_FEATURE_QUEUE
):
    async def process(self, job: ProcessorJob[my.MyFeatureJobPayload]) -> my.MyFeatureJobResult:
        return my.MyFeatureJobResult(success=True)


class NotificationProcessor(TaskProcessor[Any, Any], spec=others.NOTIFICATIONS_QUEUE, runs=in_app):
    """Shows a notice to a user."""


class EmailProcessor(TaskProcessor[others.EmailPayload, Any], spec=others.EMAIL_QUEUE, runs=send):
    """Sends mails."""


class AttachmentsSweepProcessor(Processor[Data, Data], spec=others.SWEEP):
    async def process(self, job: ProcessorJob[Data]) -> Data:
        found = (await services.objects.list("attachments")).entries
        old = [one.key for one in found if datetime.now(UTC) - one.modified_at > timedelta(days=1)]
        await services.objects.delete(*old)
        return {"pending": len(found) - len(old), "expired": len(old), "purged": len(old)}


class CourseBuilderProcessor(
    TaskProcessor[c.CoursePayload, Data], spec=c.COURSE_QUEUE, runs=collect
):
    """Puts together what the children made."""


class VideoProcessor(
    TaskProcessor[c.VideoPayload, c.VideoResult], spec=c.VIDEO_QUEUE, runs=videos.process
):
    def arguments(self, payload: c.VideoPayload) -> Any:
        return {"video_id": payload.video_id, "file_path": f"uploads/{payload.video_id}"}

    def result(self, payload: c.VideoPayload, result: Any) -> c.VideoResult:
        return c.VideoResult(payload.video_id, result)


class PdfProcessor(TaskProcessor[c.PdfPayload, MadePdf], spec=c.PDF_QUEUE, runs=pdf):
    """Makes documents."""


class HeavyProcessor(
    Processor[Data, Data], spec=HEAVY_QUEUE, run_in="process", max_memory_bytes=1024**3
):
    def process(self, job: ProcessorJob[Data]) -> Data:
        room, rounds = bytearray(job.data.get("bytes", 1024)), job.data.get("rounds", 100_000)
        return {"digest": hashlib.pbkdf2_hmac("sha256", room, b"", rounds).hex()}


PROCESSORS = Processors(QUEUES, [
    ExampleProcessor(), MyFeatureProcessor(), NotificationProcessor(), EmailProcessor(),
    AttachmentsSweepProcessor(), PdfProcessor(), CourseBuilderProcessor(), VideoProcessor(),
    HeavyProcessor(),
])  # fmt: skip
PROCESSORS.register(app)
services.provide(app)
app.provide(CollectSettings(groups={"process-video": "videos", "generate-pdf": "documents"}))
app.on_start(services.prepare)
app.on_stop(services.close)
