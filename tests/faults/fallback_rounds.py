"""Rounds of jobs that are added while Redis goes away and comes back, with real processes.

`make faults-fallback` runs the long form and prints what it saw; `test_fallback.py` runs a short
one of each kind.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.lifelines import dies_with_us
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

from toril import App
from toril.fallback.spool import Spool

ROOT = Path(__file__).parents[2]
PROGRAM = "tests.faults.programs.spooling"
SETTLED_S = 60.0
OPTIONS = ("--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes")


class Scene:
    """A server, a proxy before it, and processes with one spool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "redis").mkdir()
        self.server = RedisServer.start(folder / "redis", options=OPTIONS)
        self.proxy = Proxy(self.server.port)
        self.marks = folder / "marks.db"
        connection = sqlite3.connect(self.marks)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE runs (key INTEGER, pid INTEGER)")
        connection.commit()
        connection.close()
        self.spool = f"sqlite:///{folder}/spool.db"
        self.killed: set[int] = set()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.outputs: list[Path] = []

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a process on the stores; its output goes to a file."""
        number = len(self.processes)
        out = self.folder / f"{words[0]}-{number}.out"
        self.outputs.append(out)
        with out.open("wb") as stdout, (self.folder / f"{words[0]}-{number}.err").open("wb") as err:
            process = subprocess.Popen(
                [*dies_with_us(), sys.executable, "-m", PROGRAM, *words],
                cwd=ROOT,
                env={
                    **os.environ,
                    "TORIL_URL": self.proxy.url,
                    "TORIL_FALLBACK_URL": self.spool,
                    "TORIL_TEST_MARKS": str(self.marks),
                    "TORIL_LOG_LEVEL": "warning",
                },
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=err,
            )
        self.processes.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a process as a power cut would."""
        self.killed.add(process.pid)
        process.kill()
        process.wait()

    def lines(self) -> list[str]:
        """Return what was printed by all, whole lines only."""
        found: list[str] = []
        for path in self.outputs:
            text = path.read_text()
            found += text[: text.rfind("\n") + 1].splitlines()
        return found

    def has_added(self, producer: subprocess.Popen[bytes]) -> bool:
        """Return whether a producer has added all that it was to add."""
        text = self.outputs[self.processes.index(producer)].read_text()
        return text.endswith("added\n") or "\nadded\n" in text

    def acknowledged(self) -> dict[int, float]:
        """Return the keys that were acknowledged, each with how long that took, in ms."""
        rows = (line.split() for line in self.lines() if line[:1].isdigit())
        return {int(key): float(took) for key, took, _ in rows}

    def runs(self) -> dict[int, list[int]]:
        """Return the keys that were run, each with the processes that ran it."""
        connection = sqlite3.connect(self.marks)
        found: dict[int, list[int]] = {}
        for key, pid in connection.execute("SELECT key, pid FROM runs"):
            found.setdefault(key, []).append(pid)
        connection.close()
        return found

    async def left(self) -> int:
        """Return how many jobs are in the spool."""
        app = App(self.spool)
        try:
            return await Spool(app.backend()).left()
        finally:
            await app.close()

    def close(self) -> None:
        """End all."""
        for process in self.processes:
            if process.stdin is not None:
                with suppress(BrokenPipeError):
                    process.stdin.close()
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        self.proxy.close()
        self.server.stop()

    def break_by_kill(self) -> None:
        self.server.kill()

    def mend_by_restart(self) -> None:
        self.server.restart()

    def restart_at_once(self) -> None:
        self.server.restart()

    def pause(self) -> None:
        self.server.pause()

    def resume(self) -> None:
        self.server.resume()

    def freeze(self) -> None:
        self.proxy.freeze()

    def thaw(self) -> None:
        self.proxy.thaw()

    def demote(self) -> None:
        self.server.command("REPLICAOF", "127.0.0.1", "1")

    def promote(self) -> None:
        self.server.command("REPLICAOF", "NO", "ONE")

    def load_slowly(self) -> None:
        """Have the server read its data again, and answer `LOADING` for some seconds."""
        keys = max(1, int(self.server.command("DBSIZE")))
        self.server.command("CONFIG", "SET", "loading-process-events-interval-bytes", "1024")
        self.server.command("CONFIG", "SET", "key-load-delay", str(min(50_000, 3_000_000 // keys)))
        with suppress(OSError):
            with socket_of(self.server) as link:
                link.sendall(b"DEBUG RELOAD\r\n")
                time.sleep(0.1)  # it is read; the answer comes once all is loaded

    def nothing(self) -> None:
        with suppress(Exception):
            self.server.command("CONFIG", "SET", "key-load-delay", "0")

    def fill(self) -> None:
        self.server.command("CONFIG", "SET", "maxmemory", "1")

    def empty(self) -> None:
        self.server.command("CONFIG", "SET", "maxmemory", "0")

    def lock_out(self) -> None:
        self.server.command("CONFIG", "SET", "requirepass", "changed")
        self.proxy.cut()

    def let_in(self) -> None:
        self.server.command("AUTH", "changed")
        self.server.command("CONFIG", "SET", "requirepass", "")


def socket_of(server: RedisServer):  # type: ignore[no-untyped-def]
    import socket

    return socket.create_connection(("127.0.0.1", server.port))


Faults = tuple[Callable[[Scene], None], Callable[[Scene], None]]
FAULTS: dict[str, Faults] = {
    "killed": (Scene.break_by_kill, Scene.mend_by_restart),
    "restarted": (Scene.restart_at_once, Scene.nothing),
    "paused": (Scene.pause, Scene.resume),
    "partitioned": (Scene.freeze, Scene.thaw),
    "readonly": (Scene.demote, Scene.promote),
    "loading": (Scene.load_slowly, Scene.nothing),
    "out-of-memory": (Scene.fill, Scene.empty),
    "wrong-password": (Scene.lock_out, Scene.let_in),
    "flapping": (Scene.pause, Scene.resume),
    "producer-killed": (Scene.break_by_kill, Scene.mend_by_restart),
    "worker-killed": (Scene.pause, Scene.resume),
}


@dataclass
class Seen:
    """What was seen in a round, or in several."""

    acknowledged: int = 0
    ran: int = 0
    lost: int = 0
    doubled: int = 0
    again: int = 0
    """Run again as the process that ran it was killed."""
    refused: int = 0
    switches: int = 0
    took_ms: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Seen) -> None:
        """Add another round."""
        self.acknowledged += other.acknowledged
        self.ran += other.ran
        self.lost += other.lost
        self.doubled += other.doubled
        self.again += other.again
        self.refused += other.refused
        self.switches += other.switches
        self.took_ms += other.took_ms
        self.notes += other.notes

    def line(self) -> str:
        """Return it as one line."""
        took = sorted(self.took_ms) or [0.0]
        return (
            f"acknowledged {self.acknowledged}, ran {self.ran}, effects {self.ran}, lost"
            f" {self.lost}, doubled {self.doubled}, again after kill {self.again}, refused"
            f" {self.refused}, switches {self.switches}; enqueue p50"
            f" {took[len(took) // 2]:.1f} ms, p99 {took[int(len(took) * 0.99)]:.1f} ms, longest"
            f" {took[-1]:.0f} ms"
        )


async def play(kind: str, folder: Path, *, jobs: int, rate: float, chance: random.Random) -> Seen:
    """Play one round."""
    scene = Scene(folder)
    try:
        return await _play(scene, kind, jobs, rate, chance)
    finally:
        await asyncio.to_thread(scene.close)


async def _play(scene: Scene, kind: str, jobs: int, rate: float, chance: random.Random) -> Seen:
    break_, mend = FAULTS[kind]
    worker = scene.start("work")
    producer = scene.start("produce", "0", str(jobs), str(rate))
    await wait_until(lambda: len(scene.acknowledged()) > 20, deadline_s=60, what="the first jobs")
    seconds = jobs / rate
    await asyncio.sleep(chance.uniform(0.05, 0.25) * seconds)
    if kind == "flapping":
        for _ in range(4):
            await asyncio.to_thread(break_, scene)
            await asyncio.sleep(chance.uniform(0.3, 1.5))
            await asyncio.to_thread(mend, scene)
            await asyncio.sleep(chance.uniform(0.3, 3.0))
    else:
        await asyncio.to_thread(break_, scene)
        away_s = chance.uniform(0.1, 0.35) * seconds
        if kind == "worker-killed":
            await asyncio.sleep(chance.uniform(0.0, away_s))
            scene.kill(worker)
            worker = scene.start("work")
        if kind == "producer-killed":
            await asyncio.sleep(chance.uniform(0.0, away_s))
            scene.kill(producer)
            producer = scene.start("produce", str(jobs), str(jobs // 2), str(rate))
        await asyncio.sleep(away_s)
        await asyncio.to_thread(mend, scene)
        if kind == "worker-killed":  # and in the middle of the move
            await asyncio.sleep(chance.uniform(1.0, 3.5))
            scene.kill(worker)
            worker = scene.start("work")
        if kind == "producer-killed":
            await asyncio.sleep(chance.uniform(1.0, 3.5))
            scene.kill(producer)
            producer = scene.start("produce", str(2 * jobs), str(jobs // 2), str(rate))
    try:
        await wait_until(
            lambda: scene.has_added(producer),
            deadline_s=SETTLED_S + 2 * seconds,
            what="the producer",
        )
        await wait_until(
            lambda: scene.acknowledged().keys() <= scene.runs().keys(),
            deadline_s=SETTLED_S,
            what="all jobs",
        )
        until_s = time.monotonic() + SETTLED_S
        while await scene.left() and time.monotonic() < until_s:
            await asyncio.sleep(0.2)
    except AssertionError as error:
        print(f"  {kind}: {error}", flush=True)
    await asyncio.sleep(1.0)  # what would run twice has its chance
    return await _seen(scene)


async def _seen(scene: Scene) -> Seen:
    acknowledged, runs = scene.acknowledged(), scene.runs()
    lost = acknowledged.keys() - runs.keys()
    more = {key: pids for key, pids in runs.items() if len(pids) > 1}
    again = {key for key, pids in more.items() if scene.killed & set(pids)}
    seen = Seen(
        acknowledged=len(acknowledged),
        ran=len(runs.keys() & acknowledged.keys()),
        lost=len(lost),
        doubled=len(more.keys() - again),
        again=len(again),
        refused=sum(line.startswith("refused") for line in scene.lines()),
        switches=sum(line.startswith("switch") for line in scene.lines()),
        took_ms=list(acknowledged.values()),
    )
    left = await scene.left()
    if left or lost or more.keys() - again:
        seen.notes.append(
            f"left in the spool: {left}; lost: {sorted(lost)[:5]}; doubled:"
            f" {sorted(more.keys() - again)[:5]}; {scene.folder}"
        )
    refused = Counter(line.split(" ", 2)[2] for line in scene.lines() if line[:7] == "refused")
    seen.notes += [f"{many} refused: {text}" for text, many in refused.most_common(2)]
    return seen


def main() -> None:
    """Run the long form and print what was seen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="*", default=list(FAULTS), metavar="KIND")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", type=Path, default=None)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    bad = False
    for kind in given.kinds or FAULTS:
        whole, begun_s = Seen(), time.monotonic()
        for number in range(given.rounds):
            chance = random.Random(f"{given.seed} {kind} {number}")
            folder = Path(tempfile.mkdtemp(prefix=f"toril-{kind}-", dir=given.keep))
            seen = asyncio.run(play(kind, folder, jobs=given.jobs, rate=given.rate, chance=chance))
            whole.add(seen)
            for note in seen.notes:
                print(f"  {kind} {number}: {note}", flush=True)
            if not seen.lost and not seen.doubled and given.keep is None:
                subprocess.run(["rm", "-rf", str(folder)], check=False)
        bad = bad or bool(whole.lost or whole.doubled)
        print(
            f"{kind}, {given.rounds} rounds in {time.monotonic() - begun_s:.0f} s: {whole.line()}",
            flush=True,
        )
    sys.exit(bad)


if __name__ == "__main__":
    main()
