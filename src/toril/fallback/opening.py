"""From the options of a fallback store to the store of an app."""

from __future__ import annotations

from toril.backends.opening import open_backend
from toril.backends.sqlite.urls import FileOptions, parse
from toril.core.clock import Clock
from toril.engine.contract import Backend
from toril.fallback.options import Fallback
from toril.fallback.store import FallbackStore

LOCK_SUFFIX = "-move"


def open_fallback(
    primary: Backend,
    options: Fallback,
    *,
    clock: Clock | None,
    files: FileOptions,
    max_stalled: int,
) -> FallbackStore:
    """Open the spool beside a store on Redis, and begin to watch.

    Raises:
        InvalidOptionError: The primary store is a file.
        BackendError: The spool cannot be opened; better now than once Redis is away.
    """
    spool = open_backend(options.url, clock=clock, otherwise=files)
    rest = options.url.partition("://")[2] if "://" in options.url else f"/{options.url}"
    path, _ = parse(options.url, rest, asked=None, otherwise=files)
    return FallbackStore(
        primary,
        spool,
        options,
        lock_path=None if path == ":memory:" else path + LOCK_SUFFIX,
        max_stalled=max_stalled,
    )
