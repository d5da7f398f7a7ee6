"""Results of a flow's children, put together by their parent: `app.include(flows)`.

```python
app.include(flows)
app.provide(CollectSettings(groups={"process-video": "videos", "generate-pdf": "documents"}))
```
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from toril.core.reading import read
from toril.engine.context import Context
from toril.engine.flow import ChildRecord
from toril.engine.options import RetryPolicy
from toril.library.flows.settings import CollectSettings
from toril.services.unusable import UnusableInputError, named
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided
from toril.tasks.parameters import WholePayload

FAILURES = "failures"
"""What the result calls the children that failed, where their parent goes on without them."""

flows = TaskBundle()
"""`flows.collect` on the queue `flows`."""


@flows.task(
    name="flows.collect",
    queue="flows",
    timeout=300.0,
    retry=RetryPolicy(max_attempts=3, base_s=1.0, give_up_on=(UnusableInputError,)),
)
async def collect(
    ctx: Context,
    payload: WholePayload[dict[str, Any]],
    *,
    settings: CollectSettings = provided(CollectSettings),
) -> dict[str, Any]:
    """Return the payload's fields and the results of the children, by queue.

    Each group lists results, one a child that has completed, in the order of their JSON texts.
    Children that failed, and that their parent goes on without, are in `failures`, by queue and id.

    Harmless when run again: it reads what is stored, and writes the same object again.

    Raises:
        UnusableInputError: The results are over 64 KiB, and there is no storage for them; not tried
            again.
        ObjectError: The storage; tried again.
    """
    children = await ctx.children()
    found: dict[str, Any] = {**payload, **_grouped(children, settings)}
    failures = {
        f"{child.queue}:{child.job_id}": child.failed_reason or child.value or ""
        for child in children
        if child.fate in ("ignored", "failed")
    }
    if failures:
        found[FAILURES] = failures
    text = msgspec.json.encode(found)
    if len(text) <= settings.inline_bytes:
        return found
    if settings.objects is None:
        reason = (
            f"the results of its {len(children)} children have {len(text):,} bytes, over the"
            f" {settings.inline_bytes:,} of a job's result: give CollectSettings a storage"
            " (objects=)"
        )
        raise UnusableInputError(named("job", ctx.job_id), reason)
    name = hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()[:32]  # fits any storage
    key = f"{settings.prefix}/{name}.json"
    await settings.objects.put(key, text, content_type="application/json")
    return {**payload, "key": key, "bytes": len(text)}


def _grouped(children: list[ChildRecord], settings: CollectSettings) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {name: [] for name in settings.groups.values()}
    completed = [child for child in children if child.fate == "completed"]
    # Stores list children in no order, and their ids are random: this one stays the same.
    for child in sorted(completed, key=lambda one: (one.queue, one.value or "")):
        name = settings.groups.get(child.queue, child.queue)
        groups.setdefault(name, []).append(read(child.value or "null"))
    return groups
