"""Programs that fork while they use a store in a file: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import os
import sys
from collections import Counter

import pytest
from tests.faults.support import FULL, Program, Say, Stage
from tests.support.waiting import wait_until

CHILDREN = 30 if FULL else 9

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
]


def acknowledged(program: Program) -> dict[str, str]:
    """Return the id of each job by its token; none was given twice."""
    lines = [line.split() for line in program.lines if line.startswith("+ ")]
    tokens = {token: job_id for _, token, job_id in lines}
    assert len(tokens) == len(lines)
    twice = [job_id for job_id, many in Counter(tokens.values()).items() if many > 1]
    assert not twice, f"ids that were given twice: {twice[:5]}"
    return tokens


def remarks(program: Program) -> Counter[str]:
    """Return everything else that it has said."""
    return Counter(line for line in program.lines if not line.startswith("+ "))


async def check_all_there(stage: Stage, tokens: dict[str, str]) -> None:
    """Assert that a process that comes anew finds each job as it was acknowledged."""
    found: dict[str, str] = {}
    after: str | None = None
    while True:
        page = await stage.app.queue("notes").jobs("wait", after=after, limit=1_000)
        found |= {str(job.data["token"]): job.id for job in page.jobs}
        after = page.next
        if after is None:
            break
    lost = {token: job_id for token, job_id in tokens.items() if found.get(token) != job_id}
    assert not lost, f"{len(lost)} lost: {sorted(lost.items())[:5]}"
    health = await stage.app.check()
    assert health.ok, health.findings


@pytest.mark.parametrize("leave", ["exit", "_exit", "close", "kill"])
async def test_forks_of_a_program_at_work_lose_nothing(stage: Stage, say: Say, leave: str) -> None:
    """Acknowledged jobs vanished and ids were given twice: parent and child shared SQLite's locks.

    Threads of the parent add and look without a pause, children add and run a worker, other
    processes open and close the file, and the parent ends before its children do.
    """
    program = stage.start("forking", "storm", str(CHILDREN), leave)
    looker = stage.start("forking", "look", str(stage.store))
    try:
        await wait_until(
            lambda: (
                (not program.is_alive and remarks(program)["end"] == CHILDREN)
                or any(remark.startswith("!") for remark in remarks(program))
            ),
            deadline_s=120,
            what="the end of all children",
        )
    except AssertionError as error:
        pytest.fail(f"{error}; heard {dict(remarks(program))}, and {program.errors}")
    looker.kill()

    tokens = acknowledged(program)
    left = 0 if leave in ("kill", "_exit") else 1
    assert remarks(program) == Counter({"end": CHILDREN, "left": left}) - Counter(), program.errors
    await check_all_there(stage, tokens)
    looks = looker.lines[-1:]
    say(f"{len(tokens)} jobs, {CHILDREN} forks, looked at {looks} times")


async def ended(stage: Stage, mode: str) -> Program:
    """Run one of the other programs to its end."""
    program = stage.start("forking", mode)
    assert await program.ended(deadline_s=120) == 0, program.errors
    return program


async def test_children_of_multiprocessing_work_beside_their_parent(stage: Stage) -> None:
    program = await ended(stage, "pool")

    assert remarks(program) == {"end": 4}, program.errors
    await check_all_there(stage, acknowledged(program))


async def test_worker_and_store_made_before_a_fork_work_in_the_child(stage: Stage) -> None:
    """They waited for ever for threads that a fork leaves to the parent."""
    program = await ended(stage, "inherited")

    assert remarks(program) == {"end": 1}, program.errors
    await check_all_there(stage, acknowledged(program))


async def test_worker_that_slept_during_a_fork_is_woken_by_other_processes(stage: Stage) -> None:
    program = stage.start("forking", "idle_worker")
    await wait_until(lambda: "idle" in remarks(program), deadline_s=60, what="the fork")

    await stage.app.queue("work").add("work", {"token": "second"})

    assert await program.ended(deadline_s=60) == 0, program.errors
    assert remarks(program)["end"] == 1


async def test_store_in_memory_refuses_in_the_child_and_goes_on_in_the_parent(
    stage: Stage,
) -> None:
    """The child got an empty store of its own, and its jobs were lost without a word."""
    program = await ended(stage, "memory")

    said = remarks(program)
    assert list(acknowledged(program)) == ["before", "after"]
    assert said["end"] == said["2 in line"] == 1
    (refusal,) = [line for line in said if line.startswith("!")]
    assert "belongs to the process that made it" in refusal


async def test_fork_while_another_thread_opens_the_app_does_not_hang_the_child(
    stage: Stage,
) -> None:
    """A lock of the app, held during the fork, was never released in the child."""
    program = await ended(stage, "lock_of_the_app")

    assert remarks(program) == {"end": 1}, program.errors
    await check_all_there(stage, acknowledged(program))


@pytest.mark.parametrize(
    "mode",
    [
        "stuck",
        "interrupted",
        "in_a_signal",
        "behind_its_back",
        pytest.param(
            "told_afterwards",
            marks=pytest.mark.skipif(
                sys.version_info >= (3, 13), reason="Python itself ends such a child there"
            ),
        ),
    ],
)
async def test_child_that_inherits_an_open_file_is_refused(stage: Stage, mode: str) -> None:
    """A fork that cannot wait for a transaction, or that Python is not told of."""
    program = await ended(stage, mode)

    refusals = [line for line in remarks(program) if line.startswith("!")]
    assert list(acknowledged(program)) == ["before", "after"]
    assert len(refusals) == 1, (refusals, program.errors)
    assert "was in use when this process was forked" in refusals[0]
    assert "app.close_sync()" in refusals[0]
    if mode == "in_a_signal":
        assert {"prompt", "at once"} <= set(remarks(program))
    await check_all_there(stage, acknowledged(program))


async def test_fork_does_not_wait_for_the_lock_of_another_process(stage: Stage) -> None:
    """A transaction that waits for another process' lock gives way, and is run after the fork."""
    program = stage.start("forking", "locked_out", str(stage.store))
    await wait_until(
        lambda: not program.is_alive, deadline_s=60, what="the end of a program that forks"
    )

    assert "prompt" in remarks(program), (remarks(program), program.errors)
    assert set(acknowledged(program)) == {"before", "waited"}
    await check_all_there(stage, acknowledged(program))
