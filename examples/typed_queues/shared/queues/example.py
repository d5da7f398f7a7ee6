"""The queue `example`: what a user asked for, by an action."""

from typing import Any

from msgspec import Struct

from toril.typed import Producer, QueueSpec

EXAMPLE_QUEUE = QueueSpec("example", profile="light", concurrency=5, lock_duration=60_000)


class ExampleJobPayload(Struct, rename="camel"):
    user_id: str
    action: str
    data: dict[str, Any] = {}
    org_id: str | None = None


class ExampleJobResult(Struct, rename="camel"):
    success: bool
    processed_at: str
    message: str


class ExampleProducer(Producer[ExampleJobPayload, ExampleJobResult], spec=EXAMPLE_QUEUE):
    """Adds what a user asked for."""
