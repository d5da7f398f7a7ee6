"""What `warming.warm` gives back, under its producers' camelCase names."""

from __future__ import annotations

import msgspec


class WarmingResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `warming.warm` returns."""

    cache_key: str
    """As the payload has it."""
    bytes: int
    """Size of the value."""
    ttl: float
    """For how many seconds the value is kept."""
