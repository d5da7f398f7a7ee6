"""What one task did in one period: how many attempts ended how, and two histograms.

Both stores keep these; this module is the only one that knows how one is packed. Pure.

Durations fall into buckets whose ends grow by the square root of two: the first takes 0 and 1 ms,
bucket `k` takes what is above `2 ** ((k - 1) / 2)` and at most `2 ** (k / 2)` ms, and the last one
takes all that is longer than 18 days. So a percentile is at most 41 % above the true one.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

OUTCOMES: Final = ("completed", "failed", "retried")
"""The outcomes that are counted. A cell holds the place of one."""
OTHERS: Final = "*"
"""The task under which the names are counted for which there is no room."""
MAX_TASKS: Final = 200
"""Names of a queue that are told apart; attempts of further ones count as `OTHERS`."""
LAST_BUCKET: Final = 62
_SMALL: Final = 1 << 10

_ROOT_HALF = math.sqrt(0.5)


def bucket_of(ms: float) -> int:
    """Return the bucket of a duration in milliseconds."""
    if ms <= 1:
        return 0
    mantissa, exponent = math.frexp(ms)  # ms = mantissa * 2 ** exponent, mantissa from 0.5
    bucket = 2 * exponent - (2 if mantissa == 0.5 else mantissa <= _ROOT_HALF)
    return bucket if bucket < LAST_BUCKET else LAST_BUCKET


def bucket_end_ms(bucket: int) -> float:
    """Return the largest duration of a bucket; of the last one as if it had an end."""
    return float(2.0 ** (bucket / 2))


_BUCKETS = tuple(map(bucket_of, range(_SMALL)))


def cell_of(outcome: int, wait_ms: int, run_ms: int) -> int:
    """Return the number that stands for one attempt's outcome, wait and run.

    Parameters:
        outcome: Its place in `OUTCOMES`.
        wait_ms: How long the job waited before. Negative: not known.
        run_ms: How long the attempt took. Negative: there was none.
    """
    # Without a call for short ones, which most are: every outcome comes by.
    wait = 0 if wait_ms < 0 else 1 + (_BUCKETS[wait_ms] if wait_ms < _SMALL else bucket_of(wait_ms))
    run = 0 if run_ms < 0 else 1 + (_BUCKETS[run_ms] if run_ms < _SMALL else bucket_of(run_ms))
    return outcome << 16 | wait << 8 | run


class Tally(msgspec.Struct, array_like=True):
    """What one task did in one period. Packed as a JSON array, in the order of the fields."""

    completed: int = 0
    failed: int = 0
    retried: int = 0
    wait_ms: float = 0
    """The sum of all known waits."""
    run_ms: float = 0
    """The sum of all runs."""
    oldest_ms: float = -1
    """The greatest age that the next job in line was seen with. Negative: none was seen."""
    waits: dict[int, int] = msgspec.field(default_factory=dict)
    """Bucket to how many."""
    runs: dict[int, int] = msgspec.field(default_factory=dict)

    @property
    def attempts(self) -> int:
        """How many attempts ended."""
        return self.completed + self.failed + self.retried

    def count(self, cell: int, many: int, wait_ms: float, run_ms: float) -> None:
        """Add attempts of one cell, and the sums of their durations."""
        match cell >> 16:
            case 0:
                self.completed += many
            case 1:
                self.failed += many
            case 2:
                self.retried += many
        if wait := cell >> 8 & 0xFF:
            self.waits[wait - 1] = self.waits.get(wait - 1, 0) + many
        if run := cell & 0xFF:
            self.runs[run - 1] = self.runs.get(run - 1, 0) + many
        self.wait_ms += wait_ms
        self.run_ms += run_ms

    def merge(self, other: Tally) -> None:
        """Add what another one counted."""
        self.completed += other.completed
        self.failed += other.failed
        self.retried += other.retried
        self.wait_ms += other.wait_ms
        self.run_ms += other.run_ms
        self.oldest_ms = max(self.oldest_ms, other.oldest_ms)
        for mine, theirs in ((self.waits, other.waits), (self.runs, other.runs)):
            for bucket, many in theirs.items():
                mine[bucket] = mine.get(bucket, 0) + many


def packed(tally: Tally) -> str:
    """Return a tally as a store keeps it."""
    return _ENCODER.encode(tally).decode()


def unpacked(text: str) -> Tally:
    """Return a stored tally. Anything else that is stored there counts as nothing."""
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return Tally()


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Tally)
