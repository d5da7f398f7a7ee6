"""Cache warming as a task: `app.include(warming)`; provide settings, loaders and a cache."""

from __future__ import annotations

from typing import Annotated

import msgspec

from toril.engine.options import RetryPolicy
from toril.library.warming.loaders import Loaders
from toril.library.warming.payloads import WarmingResult
from toril.library.warming.settings import WarmingSettings
from toril.services.cache.port import Cache
from toril.services.unusable import UnusableInputError
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

TIMEOUT_S = 120.0
"""How long one warming may take, in seconds."""
Seconds = Annotated[float, msgspec.Meta(ge=1)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]

warming = TaskBundle()
"""`warming.warm` on the queue `warming`."""


@warming.task(
    name="warming.warm",
    queue="warming",
    rename="camel",
    timeout=TIMEOUT_S,
    retry=RetryPolicy(max_attempts=3, base_s=2.0, give_up_on=(UnusableInputError,)),
)
async def warm(
    cache_key: Text,
    data_source: Text,
    ttl: Seconds | None = None,
    *,
    settings: WarmingSettings = provided(WarmingSettings),
    loaders: Loaders = provided(Loaders),
    cache: Cache = provided(Cache),  # type: ignore[type-abstract]
) -> WarmingResult:
    """Load a value and keep it in the cache. A second run loads it anew: harmless.

    Parameters:
        cache_key: Where it goes; has to begin with the cache's prefix.
        data_source: The name of a registered loader, or a URL that may be fetched.
        ttl: For how long it is kept, in seconds. Default: `WarmingSettings.ttl_s`.

    Raises:
        UnusableInputError: The key, the source or the time will never do; it is not tried again.
        CacheUnavailableError: The cache does not answer; it is tried again. So it is with
            `HttpError`, and with what a loader raises.
    """
    key, ttl_s = settings.own_key(cache_key), settings.time_s(ttl)
    value = await loaders.load(data_source, max_bytes=settings.max_bytes, fetch_s=settings.fetch_s)
    await cache.set(key, value, ttl_s=ttl_s)
    return WarmingResult(cache_key=cache_key, bytes=len(value), ttl=ttl_s)
