"""Figures of events: `app.include(analytics)` of `tasks.py`, with `Analytics` provided."""

from toril.library.analytics.payloads import AggregationResult, DateRange

__all__ = ["AggregationResult", "DateRange"]
