"""Ready-made tasks: values are in a cache before anybody asks.

Run:
    python examples/warming.py

Prints:
    cache:prices 14 bytes for 60 s
    b'{"apple":1.25}'
"""

import asyncio

from toril import App
from toril.library.warming import Loaders, WarmingSettings
from toril.library.warming.tasks import warm, warming
from toril.services.cache.memory import MemoryCache
from toril.services.cache.port import Cache

app = App("sqlite://:memory:")
app.include(warming)


async def prices() -> dict[str, float]:
    return {"apple": 1.25}


async def main() -> None:
    cache = MemoryCache()
    app.provide(cache, Cache)
    app.provide(WarmingSettings(prefix="cache:"))
    app.provide(Loaders({"prices": prices}))
    job = await app.bound(warm).enqueue(cache_key="cache:prices", data_source="prices", ttl=60)
    await app.worker().run(until_idle=True)
    done = await job.result()
    print(f"{done.cache_key} {done.bytes} bytes for {done.ttl:g} s")
    print(await cache.get("prices"))
    await app.close()


if __name__ == "__main__":
    asyncio.run(main())
