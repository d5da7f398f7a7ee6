"""Messages to the browsers of users, by Web Push.

`tasks.py` are the tasks; `service.py` subscribes browsers and sends without a queue; `sending.py`
is one attempt at it; `record.py` is what keeps a second attempt from sending twice.
"""

from toril.library.push.payloads import PushBatchResult, PushPayload, PushResult, batches
from toril.library.push.service import PushService
from toril.library.push.settings import PushSettings

__all__ = [
    "PushBatchResult",
    "PushPayload",
    "PushResult",
    "PushService",
    "PushSettings",
    "batches",
]
