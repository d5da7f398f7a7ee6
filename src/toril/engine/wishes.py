"""What somebody wants a worker to do: told through the store, and heard with its next heartbeat.

A wish is a word with something behind it that no other wish has, so that the same word told twice
is two wishes, and one that is heard twice is done once. How many jobs a worker runs at once is told
beside the other wishes (`About`), so that neither takes the place of the other.
"""

from __future__ import annotations

import secrets
from typing import Literal, Protocol, get_args

from toril.core.checks import require
from toril.core.errors import InvalidOptionError
from toril.core.loggers import logger
from toril.engine.contract.workers import About
from toril.engine.worker_options import require_concurrency

log = logger("toril.worker")

Wish = Literal["pause", "resume", "quiet", "stop", "resize"]
"""`pause`: take no jobs until `resume`. `quiet`: take none any more. `stop`: leave in order.
`resize`: run another number of jobs at once."""
WISHES: tuple[str, ...] = get_args(Wish)


class Obedient(Protocol):
    """A worker, as far as it does what it is told."""

    @property
    def id(self) -> str:
        """By which the register knows it."""
        ...

    def pause(self) -> None:
        """Take no jobs until `resume`."""
        ...

    def resume(self) -> None:
        """Take jobs again."""
        ...

    def quiet(self) -> None:
        """Take no jobs any more."""
        ...

    def stop(self) -> None:
        """Leave in order."""
        ...

    def resize(self, concurrency: int) -> None:
        """Run so many jobs at once from now on."""
        ...


def wish_text(wish: Wish, concurrency: int | None = None) -> str:
    """Return a wish as it is told.

    Parameters:
        wish: Which.
        concurrency: Of `resize`: how many jobs at once.

    Raises:
        InvalidOptionError: There is no such wish, or a `resize` does not say how many.
    """
    require(wish in WISHES, "wish", wish, f"one of {', '.join(WISHES)}")
    token = secrets.token_hex(6)
    if wish != "resize":
        require(concurrency is None, "concurrency", concurrency, "none: only resize takes it")
        return f"{wish}:{token}"
    require_concurrency(concurrency)
    return f"{wish}:{concurrency}:{token}"


def about(wish: Wish) -> About:
    """Return what a wish is about."""
    return "size" if wish == "resize" else "claiming"


def word_of(text: str) -> str:
    """Return the word of a wish that was told; any word, as a newer version may know more."""
    return text.partition(":")[0]


def obey(worker: Obedient, wish: str) -> None:
    """Have a worker do what it was told. On its loop."""
    word = word_of(wish)
    if word not in WISHES:
        log.warning("worker %s was told %r, which this version does not know", worker.id, word)
        return
    if word == "resize":
        _resize(worker, wish)
        return
    log.info("worker %s was told to %s", worker.id, word)
    acts = {"pause": worker.pause, "resume": worker.resume, "quiet": worker.quiet}
    try:
        acts.get(word, worker.stop)()
    except InvalidOptionError as error:  # it leaves by now: there is nothing to resume
        log.info("%s", error)


def _resize(worker: Obedient, wish: str) -> None:
    number = wish.partition(":")[2].partition(":")[0]
    try:
        worker.resize(int(number) if number.isascii() and number.isdecimal() else 0)
    except InvalidOptionError as error:  # nothing of ours tells that
        log.warning("worker %s was told %r: %s", worker.id, wish, error)
        return
    log.info("worker %s was told to run %s jobs at once", worker.id, number)
