"""Where the next page of a listing begins: the state it is in, and the store's own place there."""

from __future__ import annotations

from collections.abc import Sequence

from toril.core.errors import InvalidOptionError
from toril.engine.states import State


def cursor(state: State | str, *place: object) -> str:
    """Return the `JobPage.next` that leads to a place in a state."""
    return "~".join([str(state), *map(str, place)])


def split_cursor(after: str, states: Sequence[State]) -> tuple[State, list[str]]:
    """Return the state and the parts of the place that a cursor names; an id comes last and whole.

    Raises:
        InvalidOptionError: It is none, or names a state that is not asked for.
    """
    word, *place = after.split("~", 3)
    if word not in states or not place:
        raise no_cursor(after)
    return State(word), place


def no_cursor(after: str) -> InvalidOptionError:
    """Return the error for what leads to no page."""
    return InvalidOptionError(f"after={after!r}: expected the `next` of the page before")
