"""A signal reaches a loop that waits, whichever thread of the process the system gives it to."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, signal, sys, threading, time
from toril.cli.signals import handle_on_loop, ignore_handled
from toril.cli.worker import loop_factory

heard = []

def take() -> None:
    time.sleep(0.3)  # until the loop waits for its files, with nothing to do
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

async def main() -> None:
    event = asyncio.Event()
    handle_on_loop(signal.SIGTERM, event.set)
    for _ in range(2):
        event.clear()
        thread = threading.Thread(target=take)
        thread.start()
        await asyncio.wait_for(event.wait(), 60)
        heard.append(time.monotonic())
        thread.join()

began = time.monotonic()
with asyncio.Runner(loop_factory=loop_factory(sys.argv[1])) as runner:
    runner.run(main())
ignore_handled()
signal.raise_signal(signal.SIGTERM)  # ignored from here on
print("heard both" if heard[-1] - began < 15 else "woken by the time-out only")
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_signal_that_another_thread_takes_wakes_the_loop(loop: str) -> None:
    """Told to stop at the moment at which it began to wait, a supervisor never ended."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, loop],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )

    assert (done.stdout, done.stderr, done.returncode) == ("heard both\n", "", 0)
