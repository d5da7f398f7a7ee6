"""From samples of a latency to its percentiles."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from benchmarks.order import Values

Sample = tuple[int, int]
"""When a job was due, and how much later its task began: nanoseconds both."""


def percentiles_ms(samples: Sequence[Sample], *, warm_up: int) -> Values:
    """Return p50, p99 and p99.9 in milliseconds of all but the `warm_up` earliest samples.

    `drift_ms` is by how much the median of the last quarter is above that of the first: where it is
    large, the rate was more than could be done, and all figures grow with the length of the run.
    """
    in_order = [late for _, late in sorted(samples)[warm_up:]]
    quarter = max(1, len(in_order) // 4)
    drift_ns = statistics.median(in_order[-quarter:]) - statistics.median(in_order[:quarter])
    late_ns = sorted(in_order)
    return {
        "p50_ms": percentile(late_ns, 0.5) / 1e6,
        "p99_ms": percentile(late_ns, 0.99) / 1e6,
        "p999_ms": percentile(late_ns, 0.999) / 1e6,
        "drift_ms": drift_ns / 1e6,
        "samples": float(len(late_ns)),
    }


def percentile(ordered: Sequence[int], share: float) -> int:
    """Return the nearest-rank percentile of ordered values: one of them, never a mix of two."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
