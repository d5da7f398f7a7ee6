"""The queues for Python beside Toril: what each needs, and an environment for each.

They ask for versions of their own of the same packages, so none shares ours or another's. What each
is told is in `python_figures/queues/`, and why in `docs/benchmarks.md`.
"""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.support.environments import python_with

from benchmarks.order import Durability, Peer, Store

ENVIRONMENTS = Path(__file__).resolve().parent.parent / ".bench-peers"
_HARNESS = ("msgspec>=0.19", "uvloop>=0.20")
"""With what our side of it runs there."""

Work = Literal[
    "adding.alone",
    "adding.concurrent",
    "adding.bulk",
    "processing.backlog",
    "pickup.two_processes",
]
ALL_WORKS: tuple[Work, ...] = (
    "adding.alone",
    "adding.concurrent",
    "adding.bulk",
    "processing.backlog",
    "pickup.two_processes",
)
NO_BULK: tuple[Work, ...] = tuple(work for work in ALL_WORKS if work != "adding.bulk")
WORKER_ONLY: tuple[Work, ...] = ("processing.backlog", "pickup.two_processes")


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonPeer:
    """One of them."""

    title: str
    module: str
    """Of `python_figures/queues/`, and the name of its environment."""
    store: Store = "redis"
    durability: Durability | None = None
    """Of Toril's file, beside which alone it is fair. None: it uses no file."""
    requirements: Sequence[str]
    packages: Sequence[str]
    """Whose versions the report names; the queue itself first."""
    tasks: Literal["functions", "coroutines"]
    """What its tasks are: beside Toril's in threads, or beside its async ones."""
    works: Sequence[Work]
    """What it has a way to do."""
    most_at_once: int = 1_000
    """Beyond so many jobs at once it is not measured."""
    jobs_share: float = 1.0
    """Of the usual number, where that would take too long; the rate does not depend on it."""

    @property
    def python(self) -> str:
        """Return the interpreter of its environment.

        Raises:
            AssertionError: It is not here and cannot be made.
        """
        return _python(self.module, (*self.requirements, *_HARNESS))

    @property
    def version(self) -> str:
        """Return its version, and those of what it stands on, in words."""
        program = f"from importlib.metadata import version\nprint(*map(version, {self.packages!r}))"
        said = subprocess.run(
            [self.python, "-c", program], capture_output=True, text=True, check=True
        )
        own, *others = said.stdout.split()
        beside = [f"{name} {its}" for name, its in zip(self.packages[1:], others, strict=True)]
        return ", ".join([own, *beside])


@functools.cache
def _python(name: str, requirements: Sequence[str]) -> str:
    return str(python_with(requirements, ENVIRONMENTS / name))


_RQ = ("rq>=2.6", "redis>=5.2", "hiredis>=3.2")

PYTHON_PEERS: dict[Peer, PythonPeer] = {
    "celery": PythonPeer(
        title="Celery",
        module="celery",
        requirements=("celery[redis]>=5.6", "hiredis>=3.2"),
        packages=("celery", "kombu", "redis", "hiredis"),
        tasks="functions",
        works=NO_BULK,
    ),
    "dramatiq": PythonPeer(
        title="Dramatiq",
        module="dramatiq",
        requirements=("dramatiq[redis]>=2.0", "hiredis>=3.2"),
        packages=("dramatiq", "redis", "hiredis"),
        tasks="functions",
        works=NO_BULK,
    ),
    "rq": PythonPeer(
        title="RQ, Worker",
        module="rq",
        requirements=_RQ,
        packages=("rq", "redis", "hiredis"),
        tasks="functions",
        works=ALL_WORKS,
        jobs_share=0.2,
    ),
    "rq_simple": PythonPeer(
        title="RQ, SimpleWorker",
        module="rq",
        requirements=_RQ,
        packages=("rq", "redis", "hiredis"),
        tasks="functions",
        works=WORKER_ONLY,
    ),
    "huey_redis": PythonPeer(
        title="Huey on Redis",
        module="huey",
        requirements=("huey>=2.5", "gevent>=24.2", "redis>=5.2", "hiredis>=3.2"),
        packages=("huey", "gevent", "redis", "hiredis"),
        tasks="functions",
        works=NO_BULK,
    ),
    "arq": PythonPeer(
        title="arq",
        module="arq",
        requirements=("arq>=0.26", "hiredis>=3.2"),
        packages=("arq", "redis", "hiredis", "uvloop"),
        tasks="coroutines",
        works=NO_BULK,
    ),
    "saq": PythonPeer(
        title="SAQ",
        module="saq",
        # Below Python 3.12 it imports typing_extensions, which it does not ask for.
        requirements=("saq[redis,hiredis]>=0.26", "typing_extensions>=4"),
        packages=("saq", "redis", "hiredis", "uvloop"),
        tasks="coroutines",
        works=NO_BULK,
    ),
    "taskiq": PythonPeer(
        title="taskiq, Redis streams",
        module="taskiq",
        requirements=("taskiq>=0.12", "taskiq-redis>=1.2", "hiredis>=3.2"),
        packages=("taskiq", "taskiq-redis", "redis", "hiredis", "uvloop"),
        tasks="coroutines",
        works=NO_BULK,
    ),
    "streaq": PythonPeer(
        title="streaq",
        module="streaq",
        requirements=("streaq>=6.0",),
        packages=("streaq", "coredis", "uvloop"),
        tasks="coroutines",
        works=ALL_WORKS,
    ),
    "flexiq": PythonPeer(
        title="FlexiQ",
        module="flexiq",
        store="sqlite",
        durability="normal",  # it syncs at checkpoints, not at each commit
        requirements=("flexiq>=2.0",),
        packages=("flexiq",),
        tasks="functions",
        works=ALL_WORKS,
    ),
    "procrastinate": PythonPeer(
        title="Procrastinate",
        module="procrastinate",
        store="postgresql",
        requirements=("procrastinate>=3.4", "psycopg[binary,pool]>=3.2"),
        packages=("procrastinate", "psycopg", "uvloop"),
        tasks="coroutines",
        works=ALL_WORKS,
    ),
    "pgqueuer": PythonPeer(
        title="pgqueuer",
        module="pgqueuer",
        store="postgresql",
        requirements=("pgqueuer[asyncpg]>=1.0",),
        packages=("pgqueuer", "asyncpg", "uvloop"),
        tasks="coroutines",
        works=ALL_WORKS,
    ),
}


def on_store(store: Store) -> list[Peer]:
    """Return those that use a store."""
    return [peer for peer, it in PYTHON_PEERS.items() if it.store == store]


def find_python_peers(wanted: Iterable[Peer]) -> dict[Peer, str]:
    """Return those that are here, with their versions in words; make the environments."""
    found: dict[Peer, str] = {}
    for peer in wanted:
        with suppress(AssertionError):  # the tests' way to say that it could not be made
            found[peer] = PYTHON_PEERS[peer].version
    return found
