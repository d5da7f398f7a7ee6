"""What waits to be sent: batches, the doubt after a failure, what is held back while stopping."""

from __future__ import annotations

import asyncio
from typing import get_args

import pytest
from tests.support.waiting import wait_until

from toril.engine import outbox as module
from toril.engine.job import Finished, OutcomeKind
from toril.engine.outbox import MAX_BATCH, REQUEUES, WORTH_AN_EXCHANGE, Batch, Outbox


def outcome(number: int, kind: OutcomeKind = "completed") -> Finished:
    return Finished(queue="q", number=number, job_id=str(number), token="t", kind=kind)


def filled(many: int, *, first: int = 0) -> Outbox:
    """Return an outbox with so many outcomes, each with its number as a fact."""
    outbox = Outbox()
    fill(outbox, many, first=first)
    return outbox


def fill(outbox: Outbox, many: int, *, first: int = 0) -> None:
    for number in range(first, first + many):
        outbox.add(outcome(number), {"number": number})


def numbers(outcomes: list[Finished]) -> list[int | str]:
    return [one.number for one in outcomes]


def of(batch: Batch) -> list[int | str]:
    """Return the numbers of a batch, whose facts have to be those of its outcomes."""
    found = numbers(batch.outcomes)
    assert [facts and facts["number"] for facts in batch.facts] == found
    return found


def test_all_that_waits_goes_together_and_in_order() -> None:
    outbox = filled(3)

    assert of(outbox.take(split=False)) == [0, 1, 2]
    assert outbox.is_empty
    assert of(outbox.take(split=False)) == []


def test_each_outcome_is_told_to_who_sends_them() -> None:
    outbox, told = Outbox(), list[int]()
    outbox.added = lambda: told.append(len(outbox.waiting))

    fill(outbox, 2)

    assert told == [1, 2]


def test_batch_has_a_limit() -> None:
    outbox = filled(MAX_BATCH + 2)

    assert of(outbox.take(split=False)) == list(range(MAX_BATCH))
    assert of(outbox.take(split=False)) == [MAX_BATCH, MAX_BATCH + 1]


@pytest.mark.parametrize(
    ("waiting", "taken"),
    [
        (2 * WORTH_AN_EXCHANGE - 1, 2 * WORTH_AN_EXCHANGE - 1),
        (2 * WORTH_AN_EXCHANGE, WORTH_AN_EXCHANGE),
        (2 * WORTH_AN_EXCHANGE + 1, WORTH_AN_EXCHANGE + 1),
        (4 * MAX_BATCH, MAX_BATCH),
    ],
)
def test_half_of_many_is_left_to_a_second_exchange(waiting: int, taken: int) -> None:
    outbox = filled(waiting)

    assert of(outbox.take(split=True)) == list(range(taken))
    assert len(outbox.waiting) == waiting - taken


def test_exchange_that_was_not_sent_casts_no_doubt() -> None:
    outbox = filled(2)
    batch = outbox.take(split=False)
    fill(outbox, 1, first=2)

    outbox.put_back(batch)

    assert not outbox.in_doubt
    assert of(outbox.take(split=False)) == [0, 1, 2]


def test_outcomes_of_a_failed_exchange_go_first_and_with_all_in_doubt() -> None:
    """The store tells only once which of them it has applied."""
    outbox = filled(2 * MAX_BATCH)
    first, second = outbox.take(split=False), outbox.take(split=False)
    fill(outbox, 3, first=2 * MAX_BATCH)

    outbox.failed(second)
    outbox.failed(first)

    assert outbox.in_doubt
    again = outbox.take(split=True)
    assert again.resolves
    assert of(again) == list(range(2 * MAX_BATCH))
    assert numbers(outbox.waiting) == [2 * MAX_BATCH, 2 * MAX_BATCH + 1, 2 * MAX_BATCH + 2]


def test_new_outcomes_fill_the_batch_that_ends_a_doubt() -> None:
    outbox = filled(1)
    outbox.failed(outbox.take(split=False))
    fill(outbox, MAX_BATCH, first=1)

    assert of(outbox.take(split=True)) == list(range(MAX_BATCH))
    assert numbers(outbox.waiting) == [MAX_BATCH]


def test_doubt_ends_with_the_exchange_that_followed_it_alone() -> None:
    outbox = filled(1)
    before = outbox.take(split=False)
    assert not before.resolves
    outbox.failed(outbox.nothing())

    outbox.succeeded(before)  # it was in flight beside the one that failed
    assert outbox.in_doubt

    outbox.succeeded(outbox.take(split=False))
    assert not outbox.in_doubt


def test_doubt_goes_on_when_another_exchange_has_failed_meanwhile() -> None:
    outbox = filled(1)
    blocking = outbox.nothing()
    outbox.failed(outbox.take(split=False))
    again = outbox.take(split=False)
    outbox.failed(blocking)

    outbox.succeeded(again)

    assert outbox.in_doubt
    assert of(outbox.take(split=False)) == []  # the store has it: only the other is in doubt


def test_exchange_without_outcomes_never_ends_a_doubt() -> None:
    outbox = Outbox()
    outbox.failed(outbox.nothing())

    outbox.succeeded(outbox.nothing())

    assert outbox.in_doubt


def test_batches_are_small_again_after_the_doubt() -> None:
    outbox = filled(2 * MAX_BATCH)
    first, second = outbox.take(split=False), outbox.take(split=False)
    outbox.failed(second)
    outbox.failed(first)
    outbox.succeeded(outbox.take(split=False))
    fill(outbox, 2 * MAX_BATCH)

    assert len(outbox.take(split=False).outcomes) == MAX_BATCH


async def test_what_requeues_a_job_is_held_back_and_all_else_goes_on() -> None:
    outbox, told = Outbox(), list[None]()
    outbox.added = lambda: told.append(None)
    kinds: tuple[OutcomeKind, ...] = get_args(OutcomeKind)
    outbox.hold_back()

    for number, kind in enumerate(kinds):
        outbox.add(outcome(number, kind), {"number": number})

    assert {"completed", "failed"} == set(kinds) - REQUEUES
    assert [one.kind for one in outbox.waiting] == ["completed", "failed"]
    assert len(told) == 2
    assert of(outbox.take(split=False)) == [0, 1]
    assert not outbox.is_empty
    outbox.let_go()
    assert len(told) == len(kinds)
    assert of(outbox.take(split=False)) == [2, 3, 4, 5]
    assert outbox.is_empty


async def test_what_waits_already_is_held_back_too_unless_it_was_sent_before() -> None:
    outbox = Outbox()
    for number in range(2):
        outbox.add(outcome(number, "released"), {"number": number})
    outbox.failed(outbox.take(split=False))
    for number, kind in enumerate(("retried", "completed", "released", "snoozed"), start=2):
        outbox.add(outcome(number, kind), {"number": number})  # type: ignore[arg-type]

    outbox.hold_back()

    assert numbers(outbox.waiting) == [0, 1, 3]
    outbox.hold_back()  # once more changes nothing
    outbox.let_go()
    assert of(outbox.take(split=False)) == [0, 1, 3, 2, 4, 5]


async def test_nothing_is_held_back_after_it_was_let_go() -> None:
    outbox = Outbox()
    outbox.hold_back()
    outbox.let_go()
    outbox.let_go()

    outbox.add(outcome(1, "released"))

    assert numbers(outbox.waiting) == [1]


async def test_what_is_held_back_goes_by_itself_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_HOLD_BACK_S", 0.01)
    outbox = Outbox()
    outbox.hold_back()
    outbox.add(outcome(1, "released"))
    assert not outbox.waiting

    await wait_until(lambda: outbox.waiting, what="the time limit")

    assert numbers(outbox.waiting) == [1]


async def test_time_limit_of_an_earlier_hold_does_not_end_a_later_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_HOLD_BACK_S", 0.05)
    outbox = Outbox()
    outbox.hold_back()
    outbox.let_go()
    monkeypatch.setattr(module, "MAX_HOLD_BACK_S", 3600.0)
    outbox.hold_back()
    outbox.add(outcome(1, "released"))
    ended = asyncio.get_running_loop().time() + 0.1

    await wait_until(lambda: asyncio.get_running_loop().time() > ended)

    assert not outbox.waiting
    outbox.let_go()
