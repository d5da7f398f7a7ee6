"""What `analytics.aggregate` takes and gives back, under its producers' camelCase names."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

BucketType = Literal["hourly", "daily", "weekly", "monthly"]
Moment = Annotated[str, msgspec.Meta(min_length=10, max_length=40)]


class DateRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stretch of time."""

    start: Moment
    """A date (`2026-11-01`) or a moment (`2026-11-01T12:00:00Z`)."""
    end: Moment
    """A date is its whole day; a moment is the first that is not in it."""


class AggregationResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `analytics.aggregate` returns."""

    type: BucketType
    start: str
    """The first moment, in UTC."""
    end: str
    """The first moment after it, in UTC."""
    buckets: int
    rows: int
    """Of the table `toril_figures`, with filters `toril_filtered_figures`: one for each metric and
    bucket."""
