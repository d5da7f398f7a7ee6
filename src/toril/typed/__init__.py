"""Typed queues: what producers and processors of a queue share is declared once, in BullMQ's words.

```python
MAIL = QueueSpec("mail", profile=Profile.LIGHT)

class MailProducer(Producer[Mail, Sent], spec=MAIL): ...
class MailProcessor(Processor[Mail, Sent], spec=MAIL):
    async def process(self, job: ProcessorJob[Mail]) -> Sent: ...
```
"""

from toril.typed.bull_job import BullJob as BullJob
from toril.typed.bull_queue import BullQueue as BullQueue
from toril.typed.job_settings import AddOptions as AddOptions
from toril.typed.job_settings import Backoff as Backoff
from toril.typed.job_settings import JobSettings as JobSettings
from toril.typed.job_settings import Kept as Kept
from toril.typed.processor import Processor as Processor
from toril.typed.processor_job import ProcessorJob as ProcessorJob
from toril.typed.processors import Processors as Processors
from toril.typed.producer import Producer as Producer
from toril.typed.registry import Producers as Producers
from toril.typed.registry import QueueRegistry as QueueRegistry
from toril.typed.spec import QueueSpec as QueueSpec
from toril.typed.task_events import TaskEvent as TaskEvent
from toril.typed.task_events import TaskEvents as TaskEvents
from toril.typed.task_events import noted_in as noted_in
from toril.typed.task_processor import TaskProcessor as TaskProcessor

__all__ = [
    "AddOptions", "Backoff", "BullJob", "BullQueue", "JobSettings", "Kept", "Processor",
    "ProcessorJob", "Processors", "Producer", "Producers", "QueueRegistry", "QueueSpec",
    "TaskEvent", "TaskEvents", "TaskProcessor", "noted_in",
]  # fmt: skip
