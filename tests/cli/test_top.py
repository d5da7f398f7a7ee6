"""`toril top`: rates, one frame, a stream, and the live screen in a real terminal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess

import msgspec
import pytest
from tests.cli.screen import Screen
from tests.cli.support import PATIENCE_S, Terminal, command
from tests.web.support import serve

from toril import App, JobOptions
from toril.cli.codes import DONE, USAGE
from toril.cli.top import SPAN_S, Rates, Sample
from toril.client import AsyncClient
from toril.engine.info import QueueInfo


def queue(completed: int, failed: int = 0, name: str = "mail") -> QueueInfo:
    return QueueInfo(
        name=name,
        paused=False,
        waiting=0,
        prioritized=0,
        delayed=0,
        waiting_children=0,
        active=0,
        completed=0,
        failed=0,
        completed_total=completed,
        failed_total=failed,
        oldest_waiting_s=None,
        concurrency=None,
        maxed=False,
        rate_limit=None,
        rate_window_s=None,
        held_s=0.0,
        events="all",
    )


def rates_of(*samples: tuple[float, list[QueueInfo]]) -> Rates:
    rates = Rates()
    for at_s, queues in samples:
        rates.add(Sample(at_s, queues, []))
    return rates


def test_rates_are_how_fast_totals_grow() -> None:
    rates = rates_of((0, [queue(100, 7)]), (2, [queue(150, 8)]))

    assert rates.of("mail") == (25.0, 0.5)


def test_rates_forget_what_is_long_ago() -> None:
    rates = rates_of((0, [queue(0)]), (1, [queue(1000)]), (1 + SPAN_S, [queue(1000)]))

    assert rates.of("mail") == (0.0, 0.0)


def test_rates_of_queues_that_come_and_go() -> None:
    rates = rates_of((0, [queue(9, name="old")]), (1, [queue(5)]))

    assert rates.of("mail") == (5.0, 0.0)
    assert rates.of("old") == (0.0, 0.0)
    assert rates_of((0, [queue(9)])).of("mail") == (0.0, 0.0)
    assert rates_of((0, [queue(9)]), (1, [queue(0)])).of("mail") == (0.0, 0.0)


def test_one_frame_without_a_terminal(terminal: Terminal) -> None:
    terminal.add("mail", "send")

    result = terminal.run("top")

    assert result.code == DONE
    assert result.out.startswith("toril top  sqlite:///")
    assert "mail" in result.out
    assert "No worker is alive" in result.out
    assert "\x1b" not in result.out


def test_one_frame_as_json(terminal: Terminal) -> None:
    terminal.worker()
    terminal.add("slow", "hold", {"until": "never"})

    document = terminal.here("top", "--once", "--json").json

    (found,) = [each for each in document["queues"] if each["name"] == "slow"]
    assert found["completed_per_s"] == 0
    assert [worker["state"] for worker in document["workers"]] == ["working"]


def test_busy_is_what_runs_at_this_moment(terminal: Terminal) -> None:
    """It was what the worker said with its last heartbeat, up to some seconds ago."""
    terminal.worker()
    job_id = terminal.hold("go")

    assert "1/10" in terminal.here("top", "--once").out
    assert terminal.here("workers", "--json").json["workers"][0]["running"] == 1
    (terminal.folder / "go").touch()
    terminal.until_state("slow", job_id, "completed")
    assert "0/10" in terminal.here("top", "--once", "--interval", "50ms").out
    assert terminal.here("workers", "--json").json["workers"][0]["running"] == 0


def test_stream_of_json(terminal: Terminal) -> None:
    terminal.add("mail", "send")
    process = subprocess.Popen(
        command("top", "--json", "--interval", "50ms"),
        cwd=terminal.folder,
        env=terminal.environment(),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None

    looks = [json.loads(process.stdout.readline()) for _ in range(3)]
    process.stdout.close()

    assert process.wait(PATIENCE_S) == DONE
    assert all(look["queues"][0]["name"] == "mail" for look in looks)


def test_interval_has_a_least(terminal: Terminal) -> None:
    assert terminal.here("top", "--interval", "1ms").code == USAGE


@pytest.mark.parametrize("end", ["q", "ctrl-c", "term"])
def test_live_screen_ends_cleanly(terminal: Terminal, end: str) -> None:
    terminal.add("mail", "send")
    with Screen(terminal, "top") as screen:
        screen.shows("QUEUE")
        screen.shows("mail")
        match end:
            case "q":
                os.write(screen.fd, b"q")
            case "ctrl-c":
                os.write(screen.fd, b"\x03")
            case _:
                screen.process.send_signal(signal.SIGTERM)

        assert screen.ends() == DONE

    assert "\x1b[?1049h" in screen.text  # the other screen was shown,
    assert "\x1b[?1049l" in screen.text.rpartition("\x1b[?1049h")[2]  # and left again
    assert "Traceback" not in screen.text


def test_live_screen_says_what_is_wrong_on_the_usual_one(terminal: Terminal) -> None:
    with Screen(terminal, "top") as screen:
        assert screen.ends() == 3

    assert "\x1b[?1049h" not in screen.text
    assert "there is no such file" in screen.text


def test_screen_and_overview_show_the_same_totals(terminal: Terminal) -> None:
    answered = asyncio.run(overview_of_some_jobs(terminal.url))
    document = terminal.here("top", "--once", "--json", "--url", terminal.url).json
    shown = terminal.here("top", "--once", "--url", terminal.url).out

    here = document["totals"]
    del here["oldest_waiting_s"], answered["oldest_waiting_s"]  # it grows meanwhile
    assert here == answered
    assert (here["waiting"], here["delayed"], here["queues"]) == (7, 1, 2)
    assert "0 of 0 slots busy, 7 waiting, 1 delayed, 0 failed, oldest " in shown


async def overview_of_some_jobs(url: str) -> dict[str, object]:
    """Add some jobs to a store, and return the totals of its server's overview."""
    async with App(url) as app:
        for number in range(7):
            await app.queue("mail").add("send", {"to": f"jo-{number}"})
        await app.queue("slow").add("hold", {"until": "x"}, JobOptions(delay_s=3600.0))
        async with serve(app) as served, AsyncClient(served.url) as client:
            found: dict[str, object] = msgspec.to_builtins((await client.get_overview()).totals)
            return found
