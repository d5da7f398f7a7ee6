"""The queue `heavy-processing`: the reference for work that takes long."""

from typing import Any

from toril.typed import Backoff, JobSettings, Kept, Producer, QueueSpec

Data = dict[str, Any]
HEAVY_QUEUE = QueueSpec(
    "heavy-processing", profile="heavy", any_name=True,
    defaults=JobSettings(
        attempts=2, backoff=Backoff(type="fixed", delay=60_000),
        remove_on_complete=Kept(count=100), remove_on_fail=False,
    ),
)  # fmt: skip


class HeavyProducer(Producer[Data, Data], spec=HEAVY_QUEUE):
    """Adds anything that takes long."""
