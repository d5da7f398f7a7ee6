"""Who waits for jobs that travel together: each gets his own answer, whenever his turn comes."""

from __future__ import annotations

import asyncio

import pytest

from toril.backends.pending import Gathering, Pending
from toril.engine.job import Added, NewJob


def waiting(many: int) -> tuple[Pending, list[Added]]:
    """Return callers that wait, and the answers for them."""
    loop = asyncio.get_running_loop()
    jobs = [NewJob(queue="paint", name="cars", data="{}") for _ in range(many)]
    return (
        Pending(jobs, [loop.create_future() for _ in jobs]),
        [Added(str(number)) for number in range(many)],
    )


@pytest.mark.parametrize("many", [1, 9, 10, 11, 35])
async def test_each_gets_his_own_answer_by_turns(many: int) -> None:
    pending, answers = waiting(many)

    pending.succeed_by_turns(answers, together=10)

    assert sum(future.done() for future in pending.futures) == min(many, 10)
    assert await asyncio.gather(*pending.futures) == answers


async def test_what_the_first_do_next_comes_before_the_turn_of_the_others() -> None:
    pending, answers = waiting(4)
    seen: list[str] = []

    async def caller(number: int) -> None:
        await pending.futures[number]
        # As a producer's next job is sent: at the end of the turn in which it is added.
        asyncio.get_running_loop().call_soon(seen.append, f"sent {number}")
        seen.append(f"added {number}")

    callers = [asyncio.create_task(caller(number)) for number in range(4)]
    await asyncio.sleep(0)
    pending.succeed_by_turns(answers, together=2)
    await asyncio.gather(*callers)
    await asyncio.sleep(0)

    assert seen == [
        *("added 0", "added 1", "sent 0", "sent 1"),
        *("added 2", "added 3", "sent 2", "sent 3"),
    ]


async def test_caller_who_has_left_is_passed_over() -> None:
    pending, answers = waiting(3)
    pending.futures[1].cancel()

    pending.succeed_by_turns(answers, together=1)

    assert await pending.futures[2] == answers[2]


async def test_all_are_told_of_an_error() -> None:
    pending, _ = waiting(2)

    pending.fail(ValueError("no"))

    for future in pending.futures:
        with pytest.raises(ValueError, match="no"):
            await future


async def test_what_is_added_in_one_turn_travels_together_and_the_next_turn_apart() -> None:
    sent: list[list[str]] = []

    def send(pending: Pending) -> None:
        sent.append([job.name for job in pending.jobs])
        pending.succeed([Added(job.name) for job in pending.jobs])

    gathering = Gathering(send, at_most=3)
    first = [gathering.add(named(name)) for name in "ab"]
    assert sent == []
    answers = await asyncio.gather(*first)
    assert [answer.job_id for answer in answers] == ["a", "b"]

    await asyncio.gather(*(gathering.add(named(name)) for name in "cdefghi"))
    assert sent == [["a", "b"], ["c", "d", "e"], ["f", "g", "h"], ["i"]]


async def test_a_full_turn_is_sent_without_waiting_for_its_end() -> None:
    sent: list[int] = []
    gathering = Gathering(lambda pending: sent.append(len(pending.jobs)), at_most=2)

    for name in "abc":
        gathering.add(named(name))

    assert sent == [2]
    await asyncio.sleep(0)
    assert sent == [2, 1]


async def test_one_by_one_each_keeps_his_own_answer() -> None:
    pending, answers = waiting(3)

    for alone, answer in zip(pending.one_by_one(), answers, strict=True):
        assert len(alone.jobs) == 1
        alone.succeed([answer])

    assert await asyncio.gather(*pending.futures) == answers


def named(name: str) -> NewJob:
    """Return a job of this name."""
    return NewJob(queue="paint", name=name, data="{}")
