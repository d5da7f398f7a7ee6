"""What somebody wants a worker to do: told through the store, and heard with its next heartbeat.

A wish is a word with something behind it that no other wish has, so that the same word told twice
is two wishes, and one that is heard twice is done once.
"""

from __future__ import annotations

import secrets
from typing import Literal, get_args

from toril.core.checks import require

Wish = Literal["pause", "resume", "quiet", "stop"]
"""`pause`: take no jobs until `resume`. `quiet`: take none any more. `stop`: leave in order."""
WISHES: tuple[str, ...] = get_args(Wish)


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
