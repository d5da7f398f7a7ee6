"""What the figures of the example systems share."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

DEADLINE_S = 3600.0
STORES = ("sqlite", "redis")


def time_ms(times_s: Sequence[float], share: float) -> float:
    """Return the time that this share of them is below, in milliseconds."""
    return sorted(times_s)[min(len(times_s) - 1, int(share * len(times_s)))] * 1000


async def until(is_so: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: It was not within an hour.
    """
    end_s = time.monotonic() + DEADLINE_S
    while not await is_so():
        if time.monotonic() > end_s:
            raise TimeoutError(f"waited an hour for {what}")
        await asyncio.sleep(0.05)


def asked_for(doc: str | None, parts: Sequence[str] = (), **numbers: int) -> argparse.Namespace:
    """Read the command line: `--store`, `--only`, and a number by each of these names.

    Parameters:
        doc: What `--help` says.
        parts: What `--only` takes. Empty: there is no such option.
        **numbers: Their defaults.

    Returns:
        `stores` and `only`, which hold all where nothing was chosen; and the numbers.
    """
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--store", choices=STORES, action="append", dest="stores")
    if parts:
        parser.add_argument("--only", choices=parts, nargs="+", default=parts)
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    given.stores = given.stores or list(STORES)
    return given
