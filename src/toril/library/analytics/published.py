"""Takes jobs of older producers: an adapter for `app.bind`."""

from __future__ import annotations

from typing import Any


def hourly(scheduled: bool = True) -> dict[str, Any]:
    """Return the arguments of `analytics.aggregate` for an hourly schedule of older producers."""
    del scheduled
    return {"type": "hourly"}
