"""The queues and their producers. Both sides have this list."""

from examples.typed_queues.shared.queues import courses as c
from examples.typed_queues.shared.queues import others
from examples.typed_queues.shared.queues.config import DEFAULT_JOB_OPTIONS
from examples.typed_queues.shared.queues.example import EXAMPLE_QUEUE, ExampleProducer
from examples.typed_queues.shared.queues.heavy_processing import HEAVY_QUEUE, HeavyProducer
from examples.typed_queues.shared.queues.my_feature import MY_FEATURE_QUEUE, MyFeatureProducer

from toril.typed import QueueRegistry

QUEUES = QueueRegistry(
    [EXAMPLE_QUEUE, MY_FEATURE_QUEUE, others.NOTIFICATIONS_QUEUE, others.EMAIL_QUEUE, others.SWEEP,
     c.PDF_QUEUE, c.COURSE_QUEUE, c.VIDEO_QUEUE, HEAVY_QUEUE],
    producers=[ExampleProducer, MyFeatureProducer, c.CourseProducer, c.VideoProducer, c.PdfProducer,
               HeavyProducer],
    defaults=DEFAULT_JOB_OPTIONS,
)  # fmt: skip
