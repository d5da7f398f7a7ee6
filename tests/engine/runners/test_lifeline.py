"""The thread that watches the worker where the kernel cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

CHILD = """
import sys, threading
from toril.engine.runners.lifeline import watch_in_thread
watch_in_thread(int(sys.argv[1]))
print("watching", flush=True)
while True:
    pass
"""


def test_thread_ends_a_busy_process_when_its_worker_is_gone() -> None:
    theirs, ours = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(theirs)],
        pass_fds=[theirs],
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        os.close(theirs)
        assert child.stdout is not None
        assert child.stdout.readline() == "watching\n"

        os.close(ours)

        assert child.wait(30) == -signal.SIGKILL
