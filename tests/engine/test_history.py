"""Series of a queue's history, as an app returns them."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from toril import InvalidOptionError, KeepPolicy, RetryPolicy
from toril.core.clock import moment
from toril.engine.history import durations
from toril.engine.tally import Tally, cell_of
from toril.testing import MemoryApp


async def test_history_of_a_queue_and_of_one_task() -> None:
    async with MemoryApp() as app:

        @app.task(queue="mail", keep_completed=KeepPolicy(count=0))
        async def send() -> None: ...

        @app.task(queue="mail", retry=RetryPolicy(max_attempts=2, base_s=0))
        async def fails() -> None:
            raise ValueError

        for _ in range(3):
            await send.enqueue()
        await fails.enqueue()
        app.clock.advance(2)
        await app.run_until_idle()

        whole = await app.history("mail")
        sent = await app.history("mail", task="send")

    assert whole.tasks == sent.tasks == ["fails", "send"]
    assert (whole.total.completed, whole.total.failed, whole.total.retried) == (3, 1, 1)
    assert (sent.total.completed, sent.total.failed, sent.total.retried) == (3, 0, 0)
    assert sent.total.wait.count == 3
    assert sent.total.wait.mean_s == 2.0
    assert sent.total.wait.p50_s == 2.048
    assert sum(point.completed for point in whole.points) == 3


async def test_points_are_steps_without_a_gap() -> None:
    async with MemoryApp() as app:

        @app.task(queue="mail")
        async def send() -> None: ...

        begins = moment(app.clock.now_ms())
        for _ in range(3):
            await send.enqueue()
            await app.run_until_idle()
            app.clock.advance(3600)
        found = await app.history("mail", since=4 * 3600, step=timedelta(minutes=30))

    assert found.step_s == 1800
    steps = [b.at - a.at for a, b in zip(found.points, found.points[1:], strict=False)]
    assert set(steps) == {timedelta(minutes=30)}
    assert found.points[0].at <= begins
    assert [point.completed for point in found.points if point.completed] == [1, 1, 1]


@pytest.mark.parametrize(
    ("since_s", "step_s"),
    [(3600, 60), (6 * 3600, 300), (86_400, 900), (6 * 86_400, 3600), (30 * 86_400, 21_600),
     (89 * 86_400, 86_400), (700 * 86_400, 7 * 86_400)],
)  # fmt: skip
async def test_step_is_chosen_by_the_span(since_s: float, step_s: float) -> None:
    async with MemoryApp() as app:
        found = await app.history("mail", since=since_s)

    assert found.step_s == step_s
    assert len(found.points) <= 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 90}, "step=90: expected whole minutes, in seconds: 60, 300, 3600, 86400"),
        ({"step": 0}, "step=0: expected whole minutes"),
        ({"since": 20 * 86_400, "step": 60}, "step=60: expected a longer one: steps of minutes"),
        ({"since": 200 * 86_400, "step": 3600}, "steps of hours are kept for 90 days"),
        ({"since": datetime(2025, 1, 1)}, "expected a moment with a time zone"),  # noqa: DTZ001
        ({"until": datetime(2025, 1, 1, tzinfo=UTC), "since": 0}, "expected a moment before until"),
        ({"since": -1}, "since=-1"),
    ],
)  # fmt: skip
async def test_options_that_make_no_sense_are_refused(
    options: dict[str, Any], message: str
) -> None:
    async with MemoryApp() as app:
        with pytest.raises(InvalidOptionError) as caught:
            await app.history("mail", **options)

    assert message in str(caught.value)


async def test_queue_may_have_no_history() -> None:
    async with MemoryApp() as app:

        @app.task(queue="mail")
        async def send() -> None: ...

        await app.queue("mail").set_history(False)
        await send.enqueue()
        await app.run_until_idle()
        assert (await app.history("mail")).total.completed == 0
        assert [queue.history for queue in await app.queues()] == [False]

        await app.queue("mail").set_history(True)
        await send.enqueue()
        await app.run_until_idle()
        assert (await app.history("mail")).total.completed == 1


@pytest.mark.parametrize("percent", [0, 50, 95, 99, 99.9, 100])
def test_percentile_is_the_true_one_or_at_most_a_bucket_above(percent: float) -> None:
    draws = [round(random.Random(number).lognormvariate(5, 2)) for number in range(1000)]
    tally = Tally()
    for ms in draws:
        tally.count(cell_of(0, ms, ms), 1, ms, ms)

    found = durations(tally.runs, tally.run_ms).percentile_s(percent)

    true_ms = sorted(draws)[max(1, math.ceil(len(draws) * percent / 100)) - 1]
    assert found is not None
    assert true_ms <= found * 1000 <= max(1, true_ms * math.sqrt(2))


def test_nothing_has_no_percentiles() -> None:
    nothing = durations({}, 0)

    assert nothing.count == 0
    assert (nothing.mean_s, nothing.p50_s, nothing.longest_s) == (None, None, None)
    with pytest.raises(InvalidOptionError, match="percent=101"):
        nothing.percentile_s(101)
