"""`toril worker`: what it says, how it ends, what its signals mean."""

from __future__ import annotations

import json
import re
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


def test_worker_warns_once_of_a_variable_that_looks_like_a_setting(terminal: Terminal) -> None:
    """TORIL_CONCURENCY was ignored in silence."""
    worker = terminal.start("worker", "shop:app", "--processes", "2", TORIL_CONCURENCY="5")
    worker.says("started: Toril", times=2)
    worker.tell(signal.SIGTERM)

    assert worker.ends() == DONE
    said = "TORIL_CONCURENCY is ignored: did you mean TORIL_CONCURRENCY?"
    assert worker.log.count(said) == 1


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


LOGGING = """
import asyncio
import logging
import os

from toril import App, Context, RetryPolicy, Snooze

app = App(version="1.4")
log = logging.getLogger("shop.mail")


@app.task(queue="mail")
async def on_the_loop() -> None:
    await asyncio.gather(say("loop"))


async def say(where: str) -> None:
    log.info("from the %s", where)


@app.task(queue="mail")
def in_a_thread() -> None:
    log.info("from a thread")


@app.task(queue="mail", run_in="process")
def in_a_process() -> int:
    log.info("from a process")
    log.debug("not asked for")
    try:
        raise KeyError("lost")
    except KeyError:
        log.exception("look")
    return os.getpid()


@app.task(queue="mail", retry=RetryPolicy(max_attempts=2, base_s=0.01, jitter_ratio=0))
async def broken() -> None:
    raise ValueError("no")


@app.task(queue="mail", name="later")
async def later(ctx: Context) -> None:
    if not os.path.exists("snoozed"):
        open("snoozed", "w").close()
        raise Snooze(after_s=0.01)
"""


def logging_shop(terminal: Terminal) -> list[str]:
    """Return the ids of one job for each task of a shop that logs."""
    (terminal.folder / "shop.py").write_text(LOGGING)
    names = ["on_the_loop", "in_a_thread", "in_a_process", "broken", "later"]
    return [terminal.add("mail", name) for name in names]


def test_worker_says_what_it_ran_and_what_tasks_say_carries_their_job(terminal: Terminal) -> None:
    ids = logging_shop(terminal)
    worker = terminal.worker()
    for job_id in ids:
        terminal.until_state("mail", job_id, "failed" if job_id == ids[3] else "completed")
    worker.tell(signal.SIGTERM)
    assert worker.ends() == DONE

    lines = [line.partition(" ")[2] for line in worker.log.splitlines()]
    texts = [re.sub(r" in (less than )?[\d.]+ m?s", " in T", line) for line in lines]
    texts = [re.sub(r" after (less than )?[\d.]+ m?s", " after T", line) for line in texts]
    no = "ValueError: no"
    for wanted in (
        "info    job 1 of mail (on_the_loop): from the loop",
        "info    job 1 of mail (on_the_loop), attempt 1, completed in T",
        "info    job 2 of mail (in_a_thread): from a thread",
        "info    job 2 of mail (in_a_thread), attempt 1, completed in T",
        "info    job 3 of mail (in_a_process): from a process",
        "error   job 3 of mail (in_a_process): look",
        "info    job 3 of mail (in_a_process), attempt 1, completed in T",
        "warning job 4 of mail (broken), attempt 1, failed in T and is tried again in T: " + no,
        "error   job 4 of mail (broken), attempt 2, failed in T: " + no,
        "info    job 5 of mail (later), attempt 1, snoozed after T and runs again in T",
        "info    job 5 of mail (later), attempt 1, completed in T",
    ):
        assert texts.count(wanted) == 1, wanted
    assert "KeyError: 'lost'" in worker.log
    assert worker.log.count("ValueError: no\n") == 3  # two lines, and one traceback
    assert "not asked for" not in worker.log
    assert "(version 1.4) started: Toril" in worker.log


def test_quiet_jobs_says_what_did_not_go_well_and_what_tasks_say(terminal: Terminal) -> None:
    ids = logging_shop(terminal)
    worker = terminal.worker("--quiet-jobs")
    for job_id in ids:
        terminal.until_state("mail", job_id, "failed" if job_id == ids[3] else "completed")
    worker.says("attempt 2, failed in")
    worker.tell(signal.SIGTERM)
    assert worker.ends() == DONE

    assert "completed" not in worker.log
    assert "snoozed" not in worker.log
    assert "is tried again" in worker.log
    assert "job 2 of mail (in_a_thread): from a thread" in worker.log


def test_lines_of_tasks_as_json_carry_their_job(terminal: Terminal) -> None:
    ids = logging_shop(terminal)
    worker = terminal.start("worker", "shop:app", "--log-format", "json").says('"started"')
    for job_id in ids:
        terminal.until_state("mail", job_id, "failed" if job_id == ids[3] else "completed")
    worker.tell(signal.SIGTERM)
    assert worker.ends() == DONE

    lines = [json.loads(line) for line in worker.log.splitlines()]
    own = {line["message"]: line for line in lines if line["logger"] == "shop.mail"}
    assert {text: (line["job_id"], line["task"], line["queue"], line["attempt"]) for text, line in
        own.items()} == {
        "from the loop": (ids[0], "on_the_loop", "mail", 1),
        "from a thread": (ids[1], "in_a_thread", "mail", 1),
        "from a process": (ids[2], "in_a_process", "mail", 1),
        "look": (ids[2], "in_a_process", "mail", 1),
    }  # fmt: skip
    assert "KeyError: 'lost'" in own["look"]["traceback"]
    assert own["from a process"]["pid"] != own["from the loop"]["pid"]
    done = next(line for line in lines if line.get("event") == "completed")
    assert {"queue", "job_id", "task", "attempt", "duration_s", "event"} <= set(done)


@pytest.mark.parametrize("words", [["--processes", "2"], []])
def test_quiet_jobs_reaches_the_processes(terminal: Terminal, words: list[str]) -> None:
    (terminal.folder / "shop.py").write_text(LOGGING)
    job_id = terminal.add("mail", "in_a_thread")
    worker = terminal.start("worker", "shop:app", "--quiet-jobs", *words).says("started: Toril")
    terminal.until_state("mail", job_id, "completed")
    worker.tell(signal.SIGTERM)

    assert worker.ends() == DONE
    assert "from a thread" in worker.log
    assert "completed in" not in worker.log
