"""`toril worker --processes N`: what dies is replaced, its jobs go on, and none is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.cli.support import PATIENCE_S, Running, Terminal, alive
from tests.support.redis_servers import RedisServer
from tests.support.waiting import wait_until_sync

from toril import App
from toril.cli.children import death_words
from toril.cli.codes import DONE, ERROR, USAGE


def pids(terminal: Terminal) -> list[int]:
    """Return the processes of the workers that are registered."""
    workers = terminal.ask(lambda app: app.workers())
    return [worker.pid for worker in workers]


def start(terminal: Terminal, *words: str) -> Running:
    """Start two worker processes and wait until both are at work."""
    supervisor = terminal.start("worker", "shop:app", "--processes", "2", *words)
    return supervisor.says("started: Toril", times=2)


def holder(terminal: Terminal, job_id: str) -> int:
    """Return the process that runs a job of the slow queue."""
    worker_id = terminal.info("slow", job_id).worker_id
    workers = terminal.ask(lambda app: app.workers())
    return next(worker.pid for worker in workers if worker.id == worker_id)


def until_gone(processes: list[int]) -> None:
    wait_until_sync(
        lambda: not any(alive(pid) for pid in processes),
        deadline_s=PATIENCE_S,
        what=f"the end of {processes}",
    )


def test_all_end_well_when_told_to(terminal: Terminal) -> None:
    supervisor = start(terminal)
    children = pids(terminal)

    supervisor.tell(signal.SIGTERM)

    assert len(children) == 2
    assert supervisor.ends() == DONE
    assert "SIGTERM: passed on to 2 processes" in supervisor.log
    assert "all worker processes have ended" in supervisor.log
    assert not any(alive(pid) for pid in children)


def test_a_killed_child_is_replaced_and_its_job_taken_up_at_once(terminal: Terminal) -> None:
    supervisor = start(terminal)
    job_id = terminal.hold()
    victim = holder(terminal, job_id)

    os.kill(victim, signal.SIGKILL)

    # Within the patience, which is less than a lease and a heartbeat would take together.
    supervisor.says("was killed by SIGKILL").says("gave back 1 job of").says("started: Toril", 3)
    terminal.until_state("slow", job_id, "active")
    assert holder(terminal, job_id) != victim
    (terminal.folder / "go").touch()
    terminal.until_state("slow", job_id, "completed")
    assert terminal.info("slow", job_id).attempts_made == 1
    supervisor.tell(signal.SIGTERM)
    assert supervisor.ends() == DONE


def test_a_second_signal_is_passed_on(terminal: Terminal) -> None:
    supervisor = start(terminal, "--shutdown", "1h")
    job_id = terminal.hold("never")

    supervisor.tell(signal.SIGINT)
    supervisor.says("1 still run")
    supervisor.tell(signal.SIGINT)

    assert supervisor.ends() == DONE
    assert terminal.state("slow", job_id) == "wait"


def test_quiet_is_passed_on(terminal: Terminal) -> None:
    supervisor = start(terminal)

    supervisor.tell(signal.SIGUSR1)
    supervisor.says("quiet: no new jobs are taken", times=2)
    job_id = terminal.add("mail", "send", {"to": "jo"})
    supervisor.tell(signal.SIGTERM)

    assert supervisor.ends() == DONE
    assert terminal.state("mail", job_id) == "wait"


def test_no_child_outlives_a_killed_supervisor(terminal: Terminal) -> None:
    supervisor = start(terminal)
    children = pids(terminal)

    supervisor.process.kill()

    until_gone(children)


def test_an_app_that_cannot_be_loaded_is_said_once(terminal: Terminal) -> None:
    result = terminal.run("worker", "shop:nothing", "--processes", "3")

    assert result.code == USAGE
    assert result.err.count("has no 'nothing'") == 1
    assert "the first worker process ended with code 2; none is started" in result.err


def test_a_store_in_memory_cannot_be_shared(terminal: Terminal) -> None:
    result = terminal.run("worker", "shop:app", "--processes", "2", "--url", "sqlite://:memory:")

    assert result.code == USAGE
    assert "processes cannot share it" in result.err


def test_one_that_ends_badly_makes_the_end_bad(terminal: Terminal) -> None:
    supervisor = start(terminal, "--shutdown", "1h")
    job_id = terminal.hold("never")
    child = holder(terminal, job_id)

    supervisor.tell(signal.SIGTERM)
    supervisor.says("1 still run")
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)

    assert supervisor.ends() == ERROR
    assert terminal.state("slow", job_id) == "wait"


def test_deaths_are_said_in_words() -> None:
    assert death_words(3) == "ended with code 3"
    assert death_words(-9) == "was killed by SIGKILL"
    assert death_words(-200) == "was killed by signal 200"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server whose keys are all ours: a client in place of a URL has no prefix."""
    with RedisServer.start(tmp_path) as server:
        yield server


def test_processes_of_an_app_with_a_client_of_its_own_are_kept(
    terminal: Terminal, server: RedisServer
) -> None:
    """The process that keeps them has no client: it cannot tell the store of a death."""
    (terminal.folder / "own.py").write_text(
        "from redis.asyncio import Redis\n"
        "from toril import App\n"
        f"app = App(Redis(port={server.port}))\n"
        "@app.task(queue='mail')\n"
        "async def greet() -> None: ...\n"
    )
    supervisor = terminal.start("worker", "own:app", "--processes", "2")
    supervisor.says("started: Toril", times=2)

    async def registered() -> list[int]:
        async with App(server.url) as app:
            return [worker.pid for worker in await app.workers()]

    killed = asyncio.run(registered())[0]
    os.kill(killed, signal.SIGKILL)

    supervisor.says(f"the jobs of worker process {killed} come back once it is missed")
    supervisor.says("started: Toril", times=3)
    supervisor.tell(signal.SIGTERM)
    assert supervisor.ends() == DONE
