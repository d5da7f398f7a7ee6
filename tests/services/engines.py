"""The image engine that a test is about: what the port promises is asked of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from toril.services.media.engines import open_engine
from toril.services.media.port import EngineKind, ImageEngine, ImageLimits

_chosen = [EngineKind.PILLOW]


@contextmanager
def chosen(kind: EngineKind) -> Iterator[None]:
    """Let `image_engine` return this one in the block."""
    _chosen.append(kind)
    yield
    _chosen.pop()


def image_engine(limits: ImageLimits | None = None, *, quality: int = 85) -> ImageEngine:
    """Return the engine that the running test is about."""
    return open_engine(_chosen[-1], limits, quality=quality)
