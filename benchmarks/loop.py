"""Which event loop the measurements of Toril run on: uvloop where it is installed."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the loop; None: asyncio's own."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    uvloop = importlib.import_module("uvloop")
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def loop_name() -> str:
    """Return the loop's name and version."""
    if loop_factory() is None:
        return "asyncio's own loop"
    return f"uvloop {importlib.metadata.version('uvloop')}"
