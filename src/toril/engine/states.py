"""The whole life of a job, as data.

State names are BullMQ's. `TRANSITIONS` is the only list of which state may follow which; `ALLOWED`,
the documentation and the model test are made from it. How a store represents a state is up to it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple


class State(StrEnum):
    """Where a job is."""

    WAIT = "wait"
    """Ready to run, without a priority."""
    PRIORITIZED = "prioritized"
    """Ready to run, with a priority: after those in `wait`, lowest number first."""
    DELAYED = "delayed"
    """Ready at a later moment."""
    WAITING_CHILDREN = "waiting-children"
    """A parent of a flow: in line once its children are done."""
    ACTIVE = "active"
    """Held by a worker under a lease."""
    COMPLETED = "completed"
    """Done; its result is kept for a while."""
    FAILED = "failed"
    """Given up, or cancelled; kept for longer."""


READY = (State.WAIT, State.PRIORITIZED)
FINISHED = (State.COMPLETED, State.FAILED)
LOOSE = tuple(state for state in State if state not in (State.WAITING_CHILDREN, State.ACTIVE))
"""States in which neither a worker nor a child holds the job: an operator may remove it."""


class Transition(NamedTuple):
    """One arrow from a state to another, with the verb that causes it and the event it emits.

    `before` is None for a job that comes to be, `after` is None for one that is removed.
    """

    before: State | None
    after: State | None
    verb: str
    event: str | None
    meaning: str


def _ready(before: State | None, verb: str, meaning: str) -> list[Transition]:
    return [Transition(before, state, verb, "waiting", meaning) for state in READY]


TRANSITIONS: tuple[Transition, ...] = (
    *_ready(None, "add", "a producer adds it"),
    Transition(None, State.DELAYED, "add", "delayed", "a producer adds it for later"),
    Transition(
        None, State.WAITING_CHILDREN, "add", "waiting-children", "a producer adds it with children"
    ),
    Transition(
        State.ACTIVE,
        State.WAITING_CHILDREN,
        "wait_children",
        "waiting-children",
        "the task waits for children that it added",
    ),
    *_ready(State.WAITING_CHILDREN, "release_parent", "its children are done, or one let it go"),
    Transition(
        State.WAITING_CHILDREN,
        State.DELAYED,
        "release_parent",
        "delayed",
        "its children are done, and it has a delay of its own",
    ),
    *_ready(State.DELAYED, "promote", "its moment has come, or an operator says so"),
    Transition(State.WAIT, State.ACTIVE, "claim", "active", "a worker takes it"),
    Transition(State.PRIORITIZED, State.ACTIVE, "claim", "active", "a worker takes it"),
    Transition(State.ACTIVE, State.COMPLETED, "finish", "completed", "the task returned"),
    Transition(State.ACTIVE, State.FAILED, "finish", "failed", "no attempt is left, or none helps"),
    *_ready(State.ACTIVE, "retry", "an attempt failed and the next is due at once"),
    Transition(State.ACTIVE, State.DELAYED, "retry", "delayed", "an attempt failed; wait a while"),
    Transition(State.ACTIVE, State.DELAYED, "snooze", "delayed", "the task asked for a later run"),
    *_ready(State.ACTIVE, "snooze", "the task asked for another run at once"),
    *_ready(State.ACTIVE, "release", "a stopping worker gives it back"),
    *_ready(State.ACTIVE, "recover", "its lease has ended, or its worker is dead"),
    *_ready(None, "repair", "it was found in no state, unfinished"),
    Transition(None, State.DELAYED, "repair", "delayed", "it was found in no state, not yet due"),
    Transition(
        None,
        State.WAITING_CHILDREN,
        "repair",
        "waiting-children",
        "it was found in no state, and has children that are not done",
    ),
    *(
        Transition(None, state, "repair", None, "it was found in no state, though it has ended")
        for state in FINISHED
    ),
    *_ready(State.FAILED, "retry_finished", "an operator tries it again"),
    *_ready(State.COMPLETED, "retry_finished", "an operator runs it again"),
    *(
        Transition(
            state,
            State.WAITING_CHILDREN,
            "retry_finished",
            "waiting-children",
            "an operator tries it again, and children of it have not finished",
        )
        for state in FINISHED
    ),
    Transition(State.WAIT, State.PRIORITIZED, "change_priority", None, "an operator re-orders"),
    Transition(State.PRIORITIZED, State.WAIT, "change_priority", None, "an operator re-orders"),
    *(Transition(state, None, "remove", "removed", "an operator removes it") for state in LOOSE),
    *(
        Transition(state, State.FAILED, "cancel", "failed", "somebody cancels it")
        for state in (State.WAIT, State.PRIORITIZED, State.DELAYED, State.WAITING_CHILDREN)
    ),
    Transition(
        State.WAITING_CHILDREN, None, "remove_flow", "removed", "an operator removes the whole flow"
    ),
    *(
        Transition(state, None, "drain", None, "an operator empties the line")
        for state in (State.WAIT, State.PRIORITIZED, State.DELAYED)
    ),
    *(
        Transition(state, None, "clean", "cleaned", "an operator removes old ones")
        for state in LOOSE
    ),
    *(
        Transition(state, None, "obliterate", None, "an operator removes the whole queue")
        for state in State
    ),
    *(
        arrow
        for state in (*LOOSE, State.WAITING_CHILDREN)
        for arrow in (
            Transition(None, state, "migrate", None, "it comes from another store"),
            Transition(state, None, "migrate", None, "it goes to another store"),
        )
    ),
    *_ready(None, "undo", "its removal is undone"),
    Transition(None, State.DELAYED, "undo", "delayed", "its removal is undone"),
    *(Transition(None, state, "undo", None, "its removal is undone") for state in FINISHED),
    *(Transition(state, None, "move", "removed", "it goes to another queue") for state in LOOSE),
    *_ready(None, "move", "it comes from another queue"),
    Transition(None, State.DELAYED, "move", "delayed", "it comes from another queue"),
    *(Transition(None, state, "move", None, "it comes from another queue") for state in FINISHED),
    *(
        Transition(state, None, "trim", None, "its keep policy says so")
        for state in (State.COMPLETED, State.FAILED)
    ),
)


def may(before: State | None, after: State | None) -> bool:
    """Return whether some transition leads from `before` to `after`."""
    return any(arrow.before == before and arrow.after == after for arrow in TRANSITIONS)


def states_before(verb: str) -> tuple[State, ...]:
    """Return the states from which a verb of `TRANSITIONS` leads elsewhere, in its order."""
    before = (arrow.before for arrow in TRANSITIONS if arrow.verb == verb)
    return tuple(dict.fromkeys(state for state in before if state is not None))


Verb = Literal[
    "remove",
    "retry",
    "promote",
    "change_delay",
    "change_priority",
    "update_data",
    "set_progress",
    "cancel",
]
"""What an operator may do to one job: methods of the contract's role `Jobs`."""

ALLOWED: dict[Verb, tuple[State, ...]] = {
    "remove": states_before("remove"),
    "retry": states_before("retry_finished"),
    "promote": states_before("promote"),
    "change_delay": states_before("promote"),  # the job stays delayed
    "change_priority": tuple(State),
    "update_data": tuple(state for state in State if state is not State.ACTIVE),
    "set_progress": tuple(state for state in State if state not in FINISHED),
    "cancel": (*states_before("cancel"), State.ACTIVE),  # a running job is told, and stays active
}
"""In which states of a job each verb is allowed."""
