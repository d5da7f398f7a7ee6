"""The queues of a course's flow. Children that Node adds may have any name."""

from typing import Any

from msgspec import Struct

from toril.library.documents import MadePdf
from toril.typed import JobSettings, Kept, Producer, QueueSpec

KEPT = JobSettings(remove_on_complete=Kept(count=100))  # the API shows what became of a course
COURSE_QUEUE = QueueSpec(
    "course-orchestrator", profile="heavy", job_name="course-complete", defaults=KEPT
)
VIDEO_QUEUE = QueueSpec("process-video", profile="heavy", any_name=True)
PDF_QUEUE = QueueSpec("generate-pdf", profile="medium", any_name=True)


class CoursePayload(Struct, rename="camel"):
    course_id: str


class VideoPayload(Struct, rename="camel"):
    video_id: str


class VideoResult(VideoPayload):
    outputs: dict[str, Any]


class PdfPayload(Struct, rename="camel"):
    pdf_id: str


class CourseProducer(Producer[CoursePayload, dict[str, Any]], spec=COURSE_QUEUE):
    """Adds the parent of videos and documents."""


class VideoProducer(Producer[VideoPayload, VideoResult], spec=VIDEO_QUEUE):
    """Adds videos to make smaller."""


class PdfProducer(Producer[PdfPayload, MadePdf], spec=PDF_QUEUE):
    """Adds documents to make."""
