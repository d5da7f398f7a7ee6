"""The outcome of a job that was claimed and is not run: it goes back, uncounted."""

from __future__ import annotations

from toril.engine.job import Claimed, Finished


def given_back(claimed: Claimed, worker_id: str) -> Finished:
    """Return the outcome that gives a claimed job back unharmed. Changes nothing if it was lost."""
    return Finished(
        queue=claimed.queue,
        number=claimed.number,
        job_id=claimed.id,
        token=claimed.token,
        kind="released",
        attempt=claimed.attempts_started,
        attempts_made=claimed.attempts_made,
        worker_id=worker_id,
        started_ms=claimed.started_ms,
    )
