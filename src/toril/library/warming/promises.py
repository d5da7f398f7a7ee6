"""What the cache warming promises."""

from __future__ import annotations

from toril.library.promises import Promise

PROMISES = {
    "warming.warm": Promise(
        idempotency_key="none is needed",
        second_run="loads the value anew and keeps it under the same key",
        side_effects="one value in the cache, below its prefix",
        services="a `Cache` (Redis, memory), `Loaders` of yours, or the servers of URLs",
        progress="none",
        cancelling="at any moment; the cache has the old value or the new one",
        memory="of a URL `max_bytes` (1 MiB); of a loader what it takes",
    )
}
