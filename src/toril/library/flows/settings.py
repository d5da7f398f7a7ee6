"""How the results of children are put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from toril.core.checks import is_whole, require
from toril.core.ids import check_queue_name
from toril.services.objects.port import ObjectStore

MAX_INLINE_BYTES = 64 * 1024
"""Most that a job's result may be, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectSettings:
    """What the task is told once.

    Raises:
        InvalidOptionError: A value makes no sense; the message names it and what would do.
    """

    groups: Mapping[str, str] = field(default_factory=dict)
    """What the result calls the results of a queue's jobs: `{"process-video": "videos"}`. Default:
    each queue's own name."""
    objects: ObjectStore | None = None
    """Where a result goes that is larger than `inline_bytes`. None: such a job fails."""
    prefix: str = "flows"
    """What the keys of such results begin with."""
    inline_bytes: int = MAX_INLINE_BYTES
    """Up to here results are in the job's own. Default, and most: 64 KiB."""

    def __post_init__(self) -> None:
        for queue, name in self.groups.items():
            check_queue_name(queue)
            good = isinstance(name, str) and name != ""
            require(good, f"groups[{queue!r}]", name, "a name, such as videos")
        good = self.prefix.strip("/") == self.prefix != ""
        require(good, "prefix", self.prefix, "parts of a key, such as flows")
        good = is_whole(self.inline_bytes) and 0 <= self.inline_bytes <= MAX_INLINE_BYTES
        require(good, "inline_bytes", self.inline_bytes, "0 to 65536")
