"""What an operation is to do, as it is stored, and to which jobs it may be done. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from toril.core.errors import InvalidOptionError
from toril.engine.contract.operations import Act
from toril.engine.search.grammar import parse
from toril.engine.search.query import Pattern, Query, Term
from toril.engine.states import ALLOWED, FINISHED, LOOSE, State

Action = Literal["retry", "remove", "promote", "cancel", "move"]

MAX_IDS = 10_000
"""Ids that one operation names."""

MAY: dict[Action, tuple[State, ...]] = {
    "retry": FINISHED,
    "remove": LOOSE,
    "promote": ALLOWED["promote"],
    "cancel": ALLOWED["cancel"],
    "move": LOOSE,
}
"""In which states of a job each action is allowed."""
MEANT: dict[Action, tuple[State, ...]] = {
    **MAY,
    "retry": (State.FAILED,),
    "move": (State.WAIT, State.PRIORITIZED, State.DELAYED),
}
"""Which states are meant if the search names none."""


class Wish(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What an operation is to do."""

    action: Action
    query: str | None = None
    """The search that finds its jobs, with their states. None: they are named in `selected`."""
    asked: str | None = None
    """The search as it was asked for."""
    selected: Mapping[str, Sequence[str]] = {}
    """Queue to ids of jobs."""
    queues: Sequence[str]
    """Where the jobs are, in the order in which they are gone through."""
    at_most: int
    """How many jobs there were to look at when it began."""
    now_ms: int
    """When it began: jobs that end later are left alone."""
    reset_attempts: bool = True
    cancel_reason: str = ""
    target: str = ""
    keep_ms: int = 0
    max_per_s: float | None = None
    actor: str
    reason: str | None = None
    """Why, as `acting` was told."""

    def act(self, state: State, ids: Sequence[str]) -> Act:
        """Return what a step does to some jobs."""
        return Act(
            verb=self.action,
            state=state,
            ids=ids,
            ended_until_ms=self.now_ms if self.action == "retry" else None,
            reset_attempts=self.reset_attempts,
            reason=self.cancel_reason,
            target=self.target,
            keep_ms=self.keep_ms,
        )


def fitted(action: Action, text: str) -> Query:
    """Return a search that finds jobs in states only in which an action is allowed.

    Raises:
        QueryError: The text cannot be read.
        InvalidOptionError: It names nothing, or a state in which the action is not allowed.
    """
    query = parse(text)
    if not all(query.alternatives):
        raise InvalidOptionError(
            f"query={text!r}: expected a search that names something, such as queue:mail or"
            " name:* for all jobs"
        )
    return Query(tuple(_fitted(action, terms) for terms in query.alternatives))


def _fitted(action: Action, terms: tuple[Term, ...]) -> tuple[Term, ...]:
    named = [term for term in terms if term.field == "state"]
    if not any(not term.negated for term in named):
        states = MEANT[action]
    else:
        states = tuple(State)
    left = [
        state
        for state in states
        if all((Pattern((str(state),)) in term.values) is not term.negated for term in named)
    ]
    wrong = [state for state in left if state not in MAY[action]]
    if wrong or not left:
        shown = str(wrong[0]) if wrong else "no state"
        raise InvalidOptionError(
            f"query: it finds jobs in {shown!r}, and {action} is for"
            f" {', '.join(MAY[action])}; name one of these, as in state:{MEANT[action][0]}"
        )
    others = tuple(term for term in terms if term.field != "state")
    return (Term("state", ":", tuple(Pattern((str(state),)) for state in left)), *others)
