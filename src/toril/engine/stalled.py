"""What is written about a job whose worker was lost. Part of the stored format.

SQLite takes the texts from here; `redis/lua/recover.lua` spells them too, and the conformance tests
compare both stores with the same words.
"""

from __future__ import annotations

STALLED_REASON = "job stalled more than allowable limit"
"""Why a job fails that was lost more often than `max_stalled` allows (spec, section 5.6)."""
STOPPED = "its worker stopped renewing the lease"
"""The error of a lost attempt that had begun. It counts as a stall."""
NOT_BEGUN = "its worker ended before it had begun"
"""The error of a lost attempt that had not begun. It does not count."""
