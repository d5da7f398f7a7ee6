"""The queue `heavy-processing`: the reference for work that takes long."""

from typing import Any

from toril.typed import Backoff, JobSettings, Kept, Producer, QueueSpec

Data = dict[str, Any]
DEFAULTS = JobSettings(
    attempts=2, backoff=Backoff(type="fixed", delay=60_000), remove_on_complete=Kept(count=100)
)  # failed ones stay, as everywhere
HEAVY_QUEUE = QueueSpec("heavy-processing", profile="heavy", any_name=True, defaults=DEFAULTS)


class HeavyProducer(Producer[Data, Data], spec=HEAVY_QUEUE):
    """Adds anything that takes long."""
