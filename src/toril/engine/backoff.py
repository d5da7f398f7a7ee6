"""How long to wait before the next attempt. A pure function."""

from __future__ import annotations

from toril.core.checks import require
from toril.engine.options import RetryPolicy

_MAX_DOUBLINGS = 62


def delay_s(attempts_made: int, policy: RetryPolicy, *, draw: float) -> float:
    """Return the wait, in seconds, before the attempt that follows `attempts_made`.

    `fixed` waits `base_s`; `exponential` waits `base_s × 2^(attempts_made - 1)`; neither more than
    `cap_s`. A share of `jitter_ratio` of it is then left to `draw`.

    Parameters:
        attempts_made: Attempts so far, from 1.
        policy: The retry policy. Its `wait` function is not asked here.
        draw: A number in [0, 1), passed in so that tests are exact.

    Returns:
        Seconds, 0 or more.

    Raises:
        InvalidOptionError: If `attempts_made` is below 1.

    Source:
        BullMQ's rule (spec, section 3.7): jitter j draws from [(1 - j) × wait, wait).
        M. Brooker, "Exponential Backoff And Jitter", 2015.
    """
    require(attempts_made >= 1, "attempts_made", attempts_made, "an integer from 1")
    wait_s = policy.base_s
    if policy.backoff == "exponential":
        wait_s *= 2.0 ** min(attempts_made - 1, _MAX_DOUBLINGS)
    wait_s = min(wait_s, policy.cap_s)
    return wait_s * (1.0 - policy.jitter_ratio * (1.0 - draw))
