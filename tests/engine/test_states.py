from __future__ import annotations

from toril.engine.events import EventName
from toril.engine.states import ALLOWED, FINISHED, LOOSE, READY, TRANSITIONS, State, may


def test_every_state_is_reached_and_every_state_is_left() -> None:
    assert {arrow.after for arrow in TRANSITIONS} == {*State, None}
    assert {arrow.before for arrow in TRANSITIONS} == {*State, None}


def test_every_transition_can_be_walked_from_a_new_job() -> None:
    reached: set[State | None] = {None}
    while True:
        more = {arrow.after for arrow in TRANSITIONS if arrow.before in reached} - reached
        if not more:
            break
        reached |= more
    assert {arrow.before for arrow in TRANSITIONS} <= reached


def test_every_event_of_a_transition_is_a_known_one() -> None:
    known = {str(name) for name in EventName}
    assert {arrow.event for arrow in TRANSITIONS if arrow.event is not None} <= known


def test_no_arrow_is_drawn_twice() -> None:
    drawn = [(arrow.before, arrow.after, arrow.verb) for arrow in TRANSITIONS]
    assert len(drawn) == len(set(drawn))


def test_only_a_claim_makes_a_job_active() -> None:
    assert {a.verb for a in TRANSITIONS if a.after is State.ACTIVE} == {"claim"}
    assert {a.before for a in TRANSITIONS if a.after is State.ACTIVE} == set(READY)


def test_a_job_that_runs_goes_only_with_its_whole_queue() -> None:
    assert {a.verb for a in TRANSITIONS if (a.before, a.after) == (State.ACTIVE, None)} == {
        "obliterate"
    }
    assert all(may(state, None) for state in State if state is not State.ACTIVE)
    assert all(may(State.ACTIVE, state) for state in FINISHED)


def test_what_waits_for_its_children_goes_only_with_its_whole_flow_or_queue() -> None:
    gone = [a.verb for a in TRANSITIONS if (a.before, a.after) == (State.WAITING_CHILDREN, None)]
    assert gone == ["remove_flow", "obliterate", "migrate"]


def test_nothing_holds_a_loose_job() -> None:
    assert set(State) - set(LOOSE) == {State.ACTIVE, State.WAITING_CHILDREN}


def test_verbs_are_allowed_where_their_arrows_begin() -> None:
    line = {State.WAIT, State.PRIORITIZED}

    assert {verb: set(states) for verb, states in ALLOWED.items()} == {
        "remove": {*line, State.DELAYED, *FINISHED},
        "retry": set(FINISHED),
        "promote": {State.DELAYED},
        "change_delay": {State.DELAYED},
        "change_priority": set(State),
        "update_data": set(State) - {State.ACTIVE},
        "set_progress": set(State) - set(FINISHED),
        "cancel": {*line, State.DELAYED, State.WAITING_CHILDREN, State.ACTIVE},
    }
