"""Step by step what BullMQ was recorded to do, done by us, with the same keys and events after it.

What is compared and what not: `golden/README.md`. What we do and what we do differently:
`golden_steps.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from urllib.parse import quote

import pytest
from tests.backends.redis.golden_steps import DIFFERENT, DRIVERS, WITHOUT_COUNTERPART
from tests.backends.redis.replay import (
    Difference,
    Step,
    by_figure,
    comparable,
    comparable_events,
    differences,
    dump,
    load,
    recorded,
)
from tests.backends.redis.replaying import UNSPOKEN, Refused, Replay
from tests.support.redis_clock import RedisClock
from tests.support.redis_servers import SOFTWARE, RedisServer

from toril.backends import open_backend

DRIVEN = [step for step in recorded() if (step.file, step.title) in DRIVERS]

_CODES = {-2: "lease_lost", -6: "lease_lost", -3: "WrongStateError", -5: "JobNotFoundError"}
"""BullMQ's codes and our words for them. Errors without a code are those of its clients."""


@pytest.fixture(scope="module", params=SOFTWARE)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """A server whose keys are all ours to remove: the recordings have the default prefix."""
    folder = tmp_path_factory.mktemp("golden")
    with RedisServer.start(folder, software=request.param) as server:
        yield server


@pytest.fixture(scope="module")
def tally(pytestconfig: pytest.Config) -> Iterator[dict[str, int]]:
    """How many steps ended how; told at the end, past pytest's capture."""
    tally = {"as BullMQ": 0, "different on purpose": 0}
    yield tally
    ended = ", ".join(f"{many} {how}" for how, many in tally.items())
    without = len(WITHOUT_COUNTERPART)
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        print(f"\ngolden: {ended}; {len(DRIVEN)} steps a server, {without} have no counterpart")


def test_every_recorded_step_is_accounted_for() -> None:
    steps = {(step.file, step.title) for step in recorded()}

    assert len(steps) == len(recorded())
    assert steps == DRIVERS.keys() | WITHOUT_COUNTERPART.keys()
    assert not DRIVERS.keys() & WITHOUT_COUNTERPART.keys()
    assert DIFFERENT.keys() <= DRIVERS.keys()


@pytest.mark.parametrize("step", DRIVEN, ids=str)
async def test_step_leaves_what_bullmq_leaves(
    step: Step, server: RedisServer, tally: dict[str, int]
) -> None:
    load(server, step.before, at_ms=step.at_ms)

    lines = await replay(step, server)

    told = "\n".join([str(step), *map(str, lines)])
    meant = DIFFERENT.get((step.file, step.title))
    if meant is None:
        assert not lines, told
        tally["as BullMQ"] += 1
    else:
        assert lines, f"{step} agrees with BullMQ after all: take it off the list ({meant.reason})"
        assert {line.place for line in lines} == set(meant.places), told
        tally["different on purpose"] += 1


async def replay(step: Step, server: RedisServer) -> list[Difference]:
    """Do a step on the state that is loaded; return what differs from the recording."""
    prefix = "{acme}" if step.file.startswith("21") else "bull"
    clock = RedisClock([server], [prefix], now_ms=step.at_ms)
    backend = open_backend(f"{server.url}?prefix={quote(prefix)}", clock=clock)
    try:
        answer = await DRIVERS[step.file, step.title](Replay(backend, server, clock))
    finally:
        await backend.lifecycle.close()
    assert clock.now_ms() == step.at_ms
    keys, events = dump(server, at_ms=step.at_ms)
    return [
        *differences(comparable(step.after), comparable(keys)),
        *differences(comparable_events(step.events), comparable_events(events), "new in"),
        *_answers_differ(step.result, answer),
    ]


def _answers_differ(expected: Any, found: Any) -> list[Difference]:
    is_refusal = isinstance(expected, dict) and "error" in expected
    if isinstance(found, Refused) and is_refusal:
        code = expected.get("code")
        wanted = {_CODES[code]} if code in _CODES else {"InvalidOptionError", "WrongStateError"}
        found = expected if found.why in wanted else found
    elif found is UNSPOKEN and not is_refusal:
        return []
    elif isinstance(found, str) and found.startswith("# HELP"):
        expected, found = by_figure(expected), by_figure(found)
    elif isinstance(found, dict) and not is_refusal:
        expected = {name: expected.get(name) for name in found}
    return differences(expected, found, "answer")
