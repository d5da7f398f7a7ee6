"""From samples of a latency to its percentiles."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.order import Values

Sample = tuple[int, int]
"""When a job was due, and how much later its task began: nanoseconds both."""
LEAST_SHARE = 0.05
"""Of the jobs of a quarter: what the others were late at least. A queue that looks for jobs at
intervals is late as well, but for this share it is not."""
MOST_SHORTFALL = 0.01
"""Of the rate: who does less than 99 of 100 jobs that become due gets ever later."""
LEAST_DRIFT_MS = 20.0
"""Growth of a latency that a busy machine may explain, in a run of any length."""
MOST_BEHIND_MS = 50.0
"""A queue that is hardly ever less late than this has a line, whose jobs wait for their turn."""


def percentiles_ms(samples: Sequence[Sample], *, warm_up: int) -> Values:
    """Return p50, p99 and p99.9 in milliseconds of all but the `warm_up` earliest samples.

    The others say whether the queue kept up, which `kept_up` judges. Of the last quarter of the
    jobs, as they were due, nineteen in twenty were late by `behind_ms` at least; that is `drift_ms`
    more than in the first quarter, and `shortfall` is this as a share of the time between the two.
    """
    in_order = sorted(samples)[warm_up:]
    quarter = max(1, len(in_order) // 4)
    first, last = in_order[:quarter], in_order[-quarter:]
    drift_ns = _least_late_ns(last) - _least_late_ns(first)
    late_ns = sorted(late for _, late in in_order)
    return {
        "p50_ms": percentile(late_ns, 0.5) / 1e6,
        "p99_ms": percentile(late_ns, 0.99) / 1e6,
        "p999_ms": percentile(late_ns, 0.999) / 1e6,
        "behind_ms": _least_late_ns(last) / 1e6,
        "drift_ms": drift_ns / 1e6,
        "shortfall": drift_ns / max(1, last[0][0] - first[0][0]),
        "samples": float(len(late_ns)),
    }


def kept_up(values: Values) -> bool:
    """Return whether a queue did the jobs of a schedule as they came.

    It did not if its latency grew all the time, nor if in the end hardly a job found the line
    empty: a queue that is always behind by as much can do no more than the rate, and by how much it
    is says only how it began.

    Parameters:
        values: Of `percentiles_ms`. What has no schedule keeps up with it.
    """
    grew = (
        values.get("shortfall", 0.0) > MOST_SHORTFALL
        and values.get("drift_ms", 0.0) > LEAST_DRIFT_MS
    )
    return not grew and values.get("behind_ms", 0.0) <= MOST_BEHIND_MS


def percentile(ordered: Sequence[int], share: float) -> int:
    """Return the nearest-rank percentile of ordered values: one of them, never a mix of two."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _least_late_ns(samples: Sequence[Sample]) -> int:
    return percentile(sorted(late for _, late in samples), LEAST_SHARE)
