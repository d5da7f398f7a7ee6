"""What somebody wants a worker to do: told through the store, and heard with its next heartbeat.

A wish is a word with something behind it that no other wish has, so that the same word told twice
is two wishes, and one that is heard twice is done once.
"""

from __future__ import annotations

import secrets
from typing import Literal, Protocol, get_args

from toril.core.checks import require
from toril.core.errors import InvalidOptionError
from toril.core.loggers import logger

log = logger("toril.worker")

Wish = Literal["pause", "resume", "quiet", "stop"]
"""`pause`: take no jobs until `resume`. `quiet`: take none any more. `stop`: leave in order."""
WISHES: tuple[str, ...] = get_args(Wish)


class Obedient(Protocol):
    """A worker, as far as it does what it is told."""

    @property
    def id(self) -> str:
        """By which the register knows it."""
        ...

    def pause(self) -> None:
        """Take no jobs for now."""
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


def wish_text(wish: Wish) -> str:
    """Return a wish as it is told.

    Raises:
        InvalidOptionError: There is no such wish.
    """
    require(wish in WISHES, "wish", wish, f"one of {', '.join(WISHES)}")
    return f"{wish}:{secrets.token_hex(6)}"


def word_of(text: str) -> str:
    """Return the word of a wish that was told; any word, as a newer version may know more."""
    return text.partition(":")[0]


def obey(worker: Obedient, wish: str) -> None:
    """Have a worker do what it was told. On its loop."""
    word = word_of(wish)
    if word not in WISHES:
        log.warning("worker %s was told %r, which this version does not know", worker.id, word)
        return
    log.info("worker %s was told to %s", worker.id, word)
    acts = {"pause": worker.pause, "resume": worker.resume, "quiet": worker.quiet}
    try:
        acts.get(word, worker.stop)()
    except InvalidOptionError as error:  # it leaves by now: there is nothing to resume
        log.info("%s", error)
