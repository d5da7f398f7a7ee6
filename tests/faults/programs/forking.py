"""A program that forks while it uses its store, in one of several ways. See `test_forks.py`.

What was acknowledged is printed as `+ <token> <id>`, by whichever process; a child that has come to
its end prints `end`, and everything else is `! <what>`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import faulthandler
import itertools
import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

# Before what Toril does after a fork: a child that hangs or crashes, even in there, says where.
faulthandler.enable()
os.register_at_fork(after_in_child=lambda: faulthandler.dump_traceback_later(60))

from toril import App  # noqa: E402
from toril.backends import forks  # noqa: E402
from toril.backends.sqlite import connection  # noqa: E402

connection.BUSY_S = 60.0  # the disk may stand still for a while: not what is asked here
app = App()
JOBS = 25
"""Of each child."""


@app.task(queue="notes")
async def note(token: str) -> str:
    return token


@app.task(queue="work")
async def work(token: str) -> str:
    return token


def tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def add(token: str) -> None:
    job = note.enqueue_sync(token=token)
    tell(f"+ {token} {job.id}")


async def add_on_a_loop(token: str) -> None:
    job = await note.enqueue(token=token)
    tell(f"+ {token} {job.id}")


def child(number: int) -> None:
    """Use the store in each of the ways, as one that was opened before the fork."""
    for i in range(JOBS):
        add(f"child-{number}-{i}")
    asyncio.run(add_on_a_loop(f"child-{number}-loop"))
    if number % 3 == 0:
        job = work.enqueue_sync(token="x")
        asyncio.run(app.worker(queues=["work"]).run(until_idle=True))
        if job.result_sync(30) != "x":
            tell("! a worker of a child did not work")
    tell("end")


def fork(body: Callable[[], None], leave: int = 0) -> int:
    """Fork, and end the child in one of three ways."""
    pid = os.fork()
    if pid != 0:
        return pid
    try:
        body()
    except Exception as error:
        tell(f"! {type(error).__name__}: {error}")
        os._exit(1)
    if leave == 0:
        os._exit(0)
    if leave == 1:
        sys.exit(0)
    raise ZeroDivisionError("a child may end like that too")


def storm(many: str, leave: str) -> None:
    """Fork again and again while threads add, and leave before the children do."""
    stop = threading.Event()

    def add_on(name: str) -> None:
        for i in range(1_000_000):
            if stop.is_set():
                return
            add(f"{name}-{i}")

    def add_on_loop(name: str) -> None:
        async def go_on() -> None:
            for i in range(1_000_000):
                if stop.is_set():
                    return
                await add_on_a_loop(f"{name}-{i}")

        asyncio.run(go_on())

    def look_on() -> None:
        while not stop.is_set():
            asyncio.run(app.queue("notes").jobs("wait", limit=50))

    threads = [
        threading.Thread(target=add_on, args=["thread-1"]),
        threading.Thread(target=add_on, args=["thread-2"]),
        threading.Thread(target=add_on_loop, args=["loop"]),
        threading.Thread(target=look_on),
    ]
    for thread in threads:
        thread.start()
    for number in range(int(many)):
        time.sleep(random.uniform(0, 0.05))
        fork(lambda number=number: child(number), number % 3)  # type: ignore[misc]
    if leave == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if leave == "_exit":
        os._exit(0)
    stop.set()
    for thread in threads:
        thread.join()
    if leave == "close":
        app.close_sync()
    tell("left")


def look(path: str) -> None:
    """Open and close the file without a pause, as operators and short commands do."""
    for looked in itertools.count(1):
        with contextlib.suppress(sqlite3.Error):  # there is no file yet
            connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True)
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            connection.close()
        if looked % 100 == 0:
            tell(f"{looked}")


def pool() -> None:
    """Let `multiprocessing` fork, from a thread of the parent."""
    add("before")

    def run() -> None:
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=child, args=[number]) for number in range(4)]
        for one in children:
            one.start()
        for one in children:
            one.join()

    thread = threading.Thread(target=run)
    thread.start()
    i = 0
    while thread.is_alive():
        add(f"parent-{i}")
        i += 1
    add("after")


def inherited() -> None:
    """Use in the child a worker, and a store, that were made before the fork."""
    add("parent")
    worker = app.worker(queues=["work"])
    backend = app.backend()
    job = work.enqueue_sync(token="x")

    def body() -> None:
        asyncio.run(worker.run(until_idle=True))
        if job.result_sync(30) != "x":
            tell("! the worker did not work")
        (queue,) = [q for q in asyncio.run(backend.counts.queues()) if q.name == "notes"]
        tell("end" if sum(queue.counts.values()) == 1 else f"! {queue}")
        asyncio.run(backend.lifecycle.close())

    os.waitpid(fork(body), 0)
    add("parent-again")


def idle_worker() -> None:
    """Fork in a thread while a worker sleeps, which another process then wakes."""

    async def main() -> None:
        running = asyncio.create_task(app.worker(queues=["work"]).run())
        job = await work.enqueue(token="first")
        await job.result(30)
        pid = await asyncio.to_thread(fork, lambda: None)
        await asyncio.to_thread(os.waitpid, pid, 0)
        tell("idle")
        while (await app.queues())[0].completed < 2:
            await asyncio.sleep(0.01)
        tell("end")
        running.cancel()

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(main())


def memory() -> None:
    """Fork with a store in memory: the child is refused, the parent goes on."""
    app.url = "sqlite://:memory:"
    add("before")

    def body() -> None:
        try:
            add("child")
        except Exception as error:
            tell(f"! {type(error).__name__}: {error}")
        app.close_sync()
        tell("end")

    os.waitpid(fork(body), 0)
    add("after")
    (queue,) = asyncio.run(app.queues())
    tell(f"{queue.waiting} in line")


def lock_of_the_app() -> None:
    """Fork while another thread opens the store, and holds the app's lock."""
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with app._store._lock:
            held.set()
            go_on.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    pid = fork(lambda: child(1))
    os.waitpid(pid, 0)
    go_on.set()
    thread.join()


def stuck() -> None:
    """Fork while a transaction does not end in time: the child is refused, the parent goes on."""
    forks.WAIT_S = 0.3
    in_mid_transaction(lambda: None)


def interrupted() -> None:
    """The same, and Ctrl-C comes while the fork waits."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])
    in_mid_transaction(timer.start)


def in_mid_transaction(first: Callable[[], None]) -> None:
    add("before")
    writer = app.backend().counts._writer  # type: ignore[attr-defined]
    begun, go_on = threading.Event(), threading.Event()

    def wait(transaction: object) -> None:
        begun.set()
        go_on.wait(60)

    thread = threading.Thread(target=writer.run_blocking, args=[wait])
    thread.start()
    begun.wait()
    first()
    os.waitpid(fork(lambda: add("child")), 0)
    go_on.set()
    thread.join()
    add("after")


def in_a_signal() -> None:
    """Fork in a signal's handler that comes while the event loop is in a transaction."""
    pids: list[int] = []
    writer = app.backend().counts._writer  # type: ignore[attr-defined]

    def handle(*_: object) -> None:
        began_s = time.monotonic()
        pids.append(fork(lambda: add("child")))
        tell("prompt" if time.monotonic() - began_s < 5 else "! it waited for itself")

    signal.signal(signal.SIGUSR1, handle)

    async def main() -> None:
        await add_on_a_loop("before")
        here = threading.get_ident()

        def transition(transaction: object) -> bool:
            at_once = threading.get_ident() == here
            if at_once:
                os.kill(os.getpid(), signal.SIGUSR1)
            return at_once

        at_once = await writer.run(transition, durable=False, at_once=True)
        tell("at once" if at_once else "! by the thread")
        await add_on_a_loop("after")

    asyncio.run(main())
    os.waitpid(pids[0], 0)


def locked_out(path: str) -> None:
    """Fork while a thread waits for another connection's transaction, which takes long."""
    add("before")
    locked = subprocess.Popen(
        [sys.executable, "-c", LOCKER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert locked.stdin is not None
    assert locked.stdout is not None
    locked.stdout.readline()
    waiting = threading.Event()
    patience = connection.Patience.__call__

    def noticed(self: connection.Patience, tries: int) -> bool:
        waiting.set()
        return patience(self, tries)

    connection.Patience.__call__ = noticed  # type: ignore[method-assign]
    thread = threading.Thread(target=add, args=["waited"])
    thread.start()
    waiting.wait()
    began_s = time.monotonic()
    os.waitpid(fork(lambda: None), 0)
    tell("prompt" if time.monotonic() - began_s < 5 else "! it waited for the lock")
    locked.stdin.close()
    locked.wait()
    thread.join()


LOCKER = """
import apsw, sys
connection = apsw.Connection(sys.argv[1])
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


def behind_its_back() -> None:
    """Fork without a word to Python, as a server written in C may do."""
    fork_in_c(lambda: None)


def told_afterwards() -> None:
    """Fork as such servers mostly do: Python is told in the child, after the fork only."""
    fork_in_c(ctypes.pythonapi.PyOS_AfterFork_Child)


def fork_in_c(in_child: Callable[[], object]) -> None:
    add("before")
    # The interpreter's own lock does not outlive such a fork while another thread waits for it.
    while not others_sleep():
        time.sleep(0.01)
    pid = ctypes.PyDLL(None).fork()
    if pid == 0:
        in_child()
        try:
            add("child")
        except Exception as error:
            tell(f"! {type(error).__name__}: {error}")
        os._exit(0)
    os.waitpid(pid, 0)
    add("after")


def others_sleep() -> bool:
    """Whether no other thread of this process runs, or wants to."""
    if not Path("/proc/self/task").exists():
        return True
    mine = threading.get_native_id()
    others = [thread for thread in os.listdir("/proc/self/task") if int(thread) != mine]
    stats = [Path(f"/proc/self/task/{thread}/stat").read_text() for thread in others]
    return all(stat.rpartition(")")[2].split()[0] == "S" for stat in stats)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
