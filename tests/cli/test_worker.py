"""`toril worker`: what it says, how it ends, what its signals mean."""

from __future__ import annotations

import json
import signal

import pytest
from tests.cli.support import PATIENCE_S, Terminal
from tests.support.waiting import wait_until_sync

from toril.cli.codes import DONE, ERROR, STORE, USAGE
from toril.cli.worker_arguments import WorkerArguments, queue_list


def test_worker_says_what_it_works_on(terminal: Terminal) -> None:
    worker = terminal.worker("--concurrency", "7", "--shutdown", "3s")
    worker.tell(signal.SIGTERM)

    assert worker.ends() == DONE
    assert f"jobs         {terminal.url}" in worker.log
    assert "queues       mail, slow\n" in worker.log
    assert "send (mail, loop), broken (mail, loop), hold (slow, thread)" in worker.log
    assert "concurrency  7, lease 30.0 s, up to 3.0 s" in worker.log
    assert "SIGTERM: ending; 0 still run" in worker.log
    assert "stopped\n" in worker.log


def test_log_lines_as_json(terminal: Terminal) -> None:
    worker = terminal.start("worker", "shop:app", "--log-format", "json").says('"started"')
    job_id = terminal.add("mail", "broken", {"to": "jo"})
    worker.says('"event":"failed"').tell(signal.SIGINT)

    assert worker.ends() == DONE
    lines = [json.loads(line) for line in worker.log.splitlines()]
    started, failed = lines[0], next(line for line in lines if line.get("event") == "failed")
    assert started["queues"] == ["mail", "slow"]
    assert started["level"] == "info"
    assert (failed["job_id"], failed["queue"], failed["task"]) == (job_id, "mail", "broken")
    assert failed["reason"] == "ValueError: nobody is called jo"
    assert "shop.py" in failed["traceback"]
    assert [line["event"] for line in lines if "worker_id" in line] == [
        "started", "stopping", "stopped",
    ]  # fmt: skip


def test_debug_shows_each_job(terminal: Terminal) -> None:
    worker = terminal.worker("--log-level", "debug")
    job_id = terminal.add("mail", "send", {"to": "jo"})

    worker.says(f"job {job_id} of mail (send), attempt 1, started")
    worker.says(f"job {job_id} of mail")
    worker.says("completed")


def test_sigterm_lets_a_running_job_end(terminal: Terminal) -> None:
    worker = terminal.worker()
    job_id = terminal.hold()

    worker.tell(signal.SIGTERM)
    worker.says("SIGTERM: ending; 1 still run")
    (terminal.folder / "go").touch()

    assert worker.ends() == DONE
    assert terminal.state("slow", job_id) == "completed"


def test_a_job_that_does_not_end_in_time_is_given_back_unharmed(terminal: Terminal) -> None:
    worker = terminal.worker("--shutdown", "200ms")
    job_id = terminal.hold()

    worker.tell(signal.SIGTERM)

    assert worker.ends() == DONE
    info = terminal.info("slow", job_id)
    assert (info.state, info.attempts_made) == ("wait", 0)
    assert terminal.here("workers", "--json").json == {"workers": []}


def test_a_second_signal_gives_back_at_once(terminal: Terminal) -> None:
    worker = terminal.worker("--shutdown", "1h")
    job_id = terminal.hold()

    worker.tell(signal.SIGINT)
    worker.says("SIGINT: ending")
    worker.tell(signal.SIGINT)

    assert worker.ends() == DONE
    assert "SIGINT again: giving back what still runs" in worker.log
    info = terminal.info("slow", job_id)
    assert (info.state, info.attempts_made) == ("wait", 0)


def test_a_third_signal_gets_through_a_blocked_loop(terminal: Terminal) -> None:
    (terminal.folder / "stuck.py").write_text(
        "import time\nfrom pathlib import Path\nfrom toril import App\napp = App()\n"
        "@app.task()\nasync def block() -> None:\n"
        "    Path('blocked').touch()\n    while True:\n        time.sleep(0.01)\n"
    )
    worker = terminal.start("worker", "stuck:app").says("started: Toril")
    terminal.add("default", "block")
    wait_until_sync((terminal.folder / "blocked").exists, deadline_s=PATIENCE_S)

    def poke() -> bool:
        # Signals that arrive together are one, so it may take more than three.
        worker.tell(signal.SIGTERM)
        return worker.process.poll() is not None

    wait_until_sync(poke, deadline_s=PATIENCE_S, what="the end of a stuck worker")
    assert worker.ends() == ERROR


def test_sigusr1_takes_no_more_and_goes_on(terminal: Terminal) -> None:
    worker = terminal.worker()
    job_id = terminal.hold()

    worker.tell(signal.SIGUSR1)
    worker.says("quiet: no new jobs are taken, 1 still run")
    later = terminal.add("mail", "send", {"to": "jo"})
    (terminal.folder / "go").touch()
    terminal.until_state("slow", job_id, "completed")

    assert terminal.state("mail", later) == "wait"
    assert worker.process.poll() is None
    worker.tell(signal.SIGTERM)
    assert worker.ends() == DONE


def test_queues_and_profile_narrow_the_work(terminal: Terminal) -> None:
    worker = terminal.worker("--queues", "slow=3,mail=1", "--loop", "asyncio")
    worker.tell(signal.SIGTERM)

    assert worker.ends() == DONE
    assert "queues       slow=3, mail=1\n" in worker.log
    assert "asyncio\n" in worker.log
    refused = terminal.run("worker", "shop:app", "--profile", "heavy")
    assert refused.code == USAGE
    assert "no task with the profile 'heavy'" in refused.err


def test_url_wins_over_the_app(terminal: Terminal) -> None:
    other = f"sqlite:///{terminal.folder / 'other.db'}"
    worker = terminal.worker("--url", other)
    worker.tell(signal.SIGTERM)

    assert worker.ends() == DONE
    assert other in worker.log
    assert not (terminal.folder / "toril.db").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--queues", "a=1,b"], "a weight from 1 for each queue"),
        (["--queues", ","], "expected names"),
        (["--profile", "hevy"], "'heavy'"),
        (["--shutdown", "soon"], "is not a duration"),
        (["--reload", "--processes", "2"], "choose one"),
        (["--concurrency", "0"], "--concurrency"),
        (["--concurency", "1"], "Did you mean '--concurrency'?"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(
    terminal: Terminal, words: list[str], expected: str
) -> None:
    result = terminal.here("worker", "shop:app", *words)

    assert result.code == USAGE
    assert expected in result.err
    assert result.err.count("\n") == 1


def test_a_queue_without_tasks_is_refused(terminal: Terminal) -> None:
    result = terminal.run("worker", "shop:app", "--queues", "mial")

    assert result.code == USAGE
    assert result.err.endswith("unknown queue 'mial': did you mean 'mail'?\n")


def test_a_store_that_cannot_be_opened(terminal: Terminal) -> None:
    result = terminal.run("worker", "shop:app", "--url", "sqlite:///no/where.db")

    assert result.code == STORE
    assert "does not exist" in result.err
    assert result.err.count("\n") == 1


def test_arguments_become_words_for_children_and_are_read_the_same() -> None:
    arguments = WorkerArguments(
        target="shop:app",
        concurrency=3,
        queues={"a": 2, "b": 1},
        profile="all",
        url="sqlite:///x.db",
        shutdown_s=0.0005,
        max_stalled=0,
        loop="asyncio",
        log_format="json",
        log_level="debug",
    )

    words = dict(word.split("=", 1) for word in arguments.words()[1:])

    assert queue_list(words["--queues"]) == {"a": 2, "b": 1}
    assert words["--shutdown"] == "0.000500s"
    assert words["--max-stalled"] == "0"
    assert arguments.words()[0] == "shop:app"
    assert list(words) == [
        "--concurrency", "--queues", "--profile", "--shutdown", "--max-stalled", "--loop",
        "--log-format", "--log-level",
    ]  # fmt: skip


STARTING = """
import os
from toril import App, provided

app = App()


@app.task(queue="mail")
async def send(to: str) -> str:
    return to


@app.on_start
async def connect() -> None:
    print("connecting", flush=True)
    if os.path.exists("refuse"):
        raise ConnectionRefusedError("nobody listens on port 5432")


@app.on_stop
async def disconnect() -> None:
    print("disconnected", flush=True)
"""


def test_start_that_fails_ends_the_command_with_its_reason(terminal: Terminal) -> None:
    (terminal.folder / "shop.py").write_text(STARTING)
    (terminal.folder / "refuse").touch()
    terminal.add("mail", "send", {"to": "jo"})

    found = terminal.run("worker", "shop:app")

    assert (found.code, found.out) == (ERROR, "connecting\ndisconnected\n")
    assert found.err == (
        "toril: on_start 'connect' failed (shop.py:17): ConnectionRefusedError: nobody listens on"
        " port 5432\n"
    )
    assert terminal.state("mail", "1") == "wait"


def test_start_that_fails_is_tried_once_for_many_processes(terminal: Terminal) -> None:
    (terminal.folder / "shop.py").write_text(STARTING)
    (terminal.folder / "refuse").touch()

    found = terminal.run("worker", "shop:app", "--processes", "2")

    assert found.code == ERROR
    assert found.out == "connecting\ndisconnected\n"
    assert "none is started" in found.err
    assert "Traceback" not in found.err


def test_start_and_stop_are_told_by_the_app_itself(terminal: Terminal) -> None:
    (terminal.folder / "shop.py").write_text(STARTING)
    worker = terminal.worker()
    worker.tell(signal.SIGTERM)

    assert worker.ends() == DONE
    assert worker.log.index("connecting") < worker.log.index("started: Toril")
    assert worker.log.index("SIGTERM") < worker.log.index("disconnected")
