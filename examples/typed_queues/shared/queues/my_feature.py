"""The queue `my-feature`: the pattern of new ones."""

from msgspec import Struct

from toril.typed import Producer, QueueSpec

MY_FEATURE_QUEUE = QueueSpec("my-feature", profile="light", concurrency=5, lock_duration=60_000)


class MyFeatureJobPayload(Struct, rename="camel"):
    user_id: str


class MyFeatureJobResult(Struct, rename="camel"):
    success: bool


class MyFeatureProducer(Producer[MyFeatureJobPayload, MyFeatureJobResult], spec=MY_FEATURE_QUEUE):
    """Adds jobs of the feature."""
