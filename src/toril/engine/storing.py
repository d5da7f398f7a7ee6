"""Fails the job whose outcome the store cannot write, instead of the worker.

Outcomes are checked before they reach a store. This is for errors that no check foresaw: without it
one such outcome would end the worker, and the other outcomes of its exchange would be lost.
"""

from __future__ import annotations

from toril.core.errors import BackendError
from toril.core.loggers import logger
from toril.engine.contract.dispatch import (
    BlockingClaim,
    Dispatch,
    Exchange,
    ExchangeReply,
    FenceResult,
)
from toril.engine.job import Finished
from toril.engine.judging import describe
from toril.engine.options import KEEP_FAILED

log = logger("toril.worker")

AGAIN_MS = 1
"""Nothing was claimed meanwhile: ask again at once."""


async def exchange_surely(
    by: Dispatch | BlockingClaim, exchange: Exchange, outcomes: list[Finished]
) -> ExchangeReply:
    """Make an exchange. If the store cannot write its outcomes together, write them one by one.

    Parameters:
        by: What makes the exchange: the store, or its standing claim.
        exchange: What to send.
        outcomes: Those of the exchange. One that cannot be written is replaced in this list by
            a failure.

    Raises:
        BackendError: The store did not answer, or refused.
    """
    try:
        return await by.exchange(exchange)
    except BackendError:
        raise
    except Exception:
        if not outcomes:
            raise
        log.exception("%d outcomes cannot be written together: one by one then", len(outcomes))
        words: list[FenceResult] = [
            await _alone(by, exchange.worker_id, outcomes, place) for place in range(len(outcomes))
        ]
        return ExchangeReply(words, [], AGAIN_MS, 0)


async def _alone(
    by: Dispatch | BlockingClaim, worker_id: str, outcomes: list[Finished], place: int
) -> FenceResult:
    """Write one outcome. If it cannot be written, write a failure of its job instead."""
    for _ in range(2):
        outcome = outcomes[place]
        try:
            return (await by.exchange(Exchange(worker_id, [outcome]))).words[0]
        except BackendError:
            raise
        except Exception as error:
            reason = describe(error)
            log.error("job %s of %s: %s", outcome.job_id, outcome.queue, reason)
            outcomes[place] = _failed(outcome, reason)
    return "lease_lost"  # not even its failure: its lease ends, and another worker's turn comes


def _failed(outcome: Finished, reason: str) -> Finished:
    """Return a failure that any store can write, in place of an outcome that it cannot."""
    age_s = KEEP_FAILED.age_s
    return Finished(
        queue=outcome.queue,
        number=outcome.number,
        job_id=outcome.job_id,
        token=outcome.token,
        kind="failed",
        name=outcome.name,
        waited_ms=outcome.waited_ms,
        reason=f"its outcome ({outcome.kind}) could not be stored: {reason}",
        attempt=outcome.attempt,
        attempts_made=max(outcome.attempts_made, 1),
        keep_count=KEEP_FAILED.count,
        keep_age_ms=None if age_s is None else round(age_s * 1000),
        worker_id=outcome.worker_id,
        started_ms=outcome.started_ms,
        dead_letter=outcome.dead_letter,
        unwanted=outcome.unwanted,
    )
