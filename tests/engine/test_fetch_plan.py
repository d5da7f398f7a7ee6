from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toril.engine.fetch_plan import FetchPlan
from toril.engine.options import RateLimit


def plan(queues: list[str], weights: dict[str, int] | None = None) -> FetchPlan:
    return FetchPlan(queues, weights=weights, lease_ms=1000, rate=None)


def test_without_weights_queues_are_asked_in_their_order() -> None:
    assert [claim.queue for claim in plan(["b", "a", "c"]).claims(5)] == ["b", "a", "c"]


@pytest.mark.parametrize("room", [0, -1])
def test_nothing_is_asked_for_without_room(room: int) -> None:
    assert plan(["a"]).claims(room) == []


weights = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(1, 50), min_size=2)


@given(weights, st.integers(1, 1000))
def test_shares_fill_the_room_and_everybody_may_take_what_is_left(
    shares: dict[str, int], room: int
) -> None:
    claims = plan(list(shares), shares).claims(room)
    first, second = claims[: len(shares)], claims[len(shares) :]

    assert {claim.queue for claim in first} == {claim.queue for claim in second} == set(shares)
    assert sum(claim.limit for claim in first) >= room
    total = sum(shares.values())
    for claim in first:
        exact = room * shares[claim.queue] / total
        assert exact <= claim.limit < exact + 1
    assert all(claim.limit == room for claim in second)


def test_with_one_free_slot_weights_are_chances_and_nobody_starves() -> None:
    shares = {"often": 9, "seldom": 1}
    asked = plan(list(shares), shares)
    firsts = Counter(asked.claims(1)[0].queue for _ in range(5000))
    assert 4300 < firsts["often"] < 4700


def test_a_rate_limit_goes_with_every_claim() -> None:
    asked = FetchPlan(["a"], weights=None, lease_ms=1, rate=RateLimit(limit=3, window_s=0.5))
    (claim,) = asked.claims(1)
    assert (claim.rate_limit, claim.rate_window_ms) == (3, 500)
