"""What a web application without a job library does: FastAPI, and a bare push to Redis.

Run: `python -m benchmarks.web.peer URL`.
"""

from __future__ import annotations

import asyncio
import sys

from fastapi import FastAPI
from pydantic import BaseModel
from redis.asyncio import Redis

from toril.web.serving import HttpServer


class Job(BaseModel):
    """What is pushed."""

    name: str
    data: dict[str, object]


async def main(url: str) -> None:
    """Serve until told to stop."""
    redis = Redis.from_url(url)
    web = FastAPI()

    @web.post("/push")
    async def push(job: Job) -> dict[str, int]:
        return {"length": await redis.lpush("pushed", job.model_dump_json())}

    server = HttpServer(web, host="127.0.0.1", port=0)
    await server.start()
    print(server.url, flush=True)
    await server.ended()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
