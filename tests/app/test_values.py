"""Values on their whole way, on both stores: into the task, and back out of its result."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, computed_field
from tests.engine.working import ONCE, memory_app, working

from toril import (
    App,
    Call,
    Context,
    InvalidPayloadError,
    Job,
    JobFailedError,
    Settings,
    State,
    WholePayload,
)


class Size(IntEnum):
    SMALL = 1


class Alias(BaseModel):
    first_name: str = Field(default="nobody", alias="firstName")


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n: int = 1

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return self.n * 2


class Secret(BaseModel):
    token: SecretStr


PARIS_1890 = datetime(1890, 1, 1, tzinfo=ZoneInfo("Europe/Paris"))  # at +00:09:21
BERLIN_TWICE = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)


@pytest.fixture(params=["sqlite", "redis"])
async def app(request: pytest.FixtureRequest) -> AsyncIterator[App]:
    if request.param == "sqlite":
        app = memory_app()
    else:
        app = App(request.getfixturevalue("redis_url"), settings=Settings())
    async with app:
        yield app


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (dict[int, str], {1: "a"}),
        (dict[float, int], {0.5: 1, 1e22: 2}),
        (dict[Size, int] | None, {Size.SMALL: 2}),
        (list[dict[int, dict[float, int]]], [{7: {0.5: 1}}]),
        (Alias, Alias(firstName="Jo")),
        (Computed, Computed(n=2)),
        (Path, Path("/a/b")),
    ],
)
async def test_a_value_arrives_and_comes_back(app: App, kind: Any, value: Any) -> None:
    """Keys other than text could not be read from a result, and models with aliases not at all."""
    seen: list[Any] = []

    async def echo(x: Any) -> Any:
        seen.append(x)
        return x

    echo.__annotations__ = {"x": kind, "return": kind}
    task = app.task(retry=ONCE)(echo)
    async with working(app):
        result = await (await task.enqueue(x=value)).result(timeout_s=60)

    assert seen == [value]
    assert (result, type(result)) == (value, type(value))


@pytest.mark.parametrize(
    "moment",
    [
        PARIS_1890,
        BERLIN_TWICE,
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=37))),
        datetime(2026, 1, 1, tzinfo=timezone(-timedelta(microseconds=1))),
    ],
)
async def test_a_moment_is_the_same_whatever_its_zone(app: App, moment: datetime) -> None:
    """Offsets with seconds were cut to minutes: 1890 in Paris arrived 21 seconds late."""
    seen: list[datetime] = []

    @app.task(retry=ONCE)
    async def echo(at: datetime) -> datetime:
        seen.append(at)
        return at.astimezone(moment.tzinfo)

    @app.task(retry=ONCE)
    async def anything(x: dict[str, datetime]) -> Any:
        return {"at": moment}

    @app.task(retry=ONCE)
    async def partly() -> dict[str, Any]:
        return {"at": moment}

    async with working(app):
        result = await (await echo.enqueue(at=moment)).result(timeout_s=60)
        others = [
            await (await anything.enqueue(x={"at": moment})).result(timeout_s=60),
            await (await partly.enqueue()).result(timeout_s=60),
        ]

    utc = moment.astimezone(UTC)
    assert [seen[0].astimezone(UTC), result.astimezone(UTC)] == [utc, utc]
    for other in others:
        assert datetime.fromisoformat(other["at"]).astimezone(UTC) == utc


async def test_a_secret_is_refused_rather_than_sent_as_asterisks(app: App) -> None:
    @app.task(retry=ONCE)
    async def take(x: Secret) -> None: ...

    @app.task(retry=ONCE)
    async def give() -> Secret:
        return Secret(token=SecretStr("abc"))

    with pytest.raises(InvalidPayloadError, match=r"field 'x\.token': .*is written as asterisks"):
        await take.enqueue(x=Secret(token=SecretStr("abc")))
    async with working(app):
        job = await give.enqueue()
        with pytest.raises(JobFailedError, match=r"cannot be stored: token: .*asterisks"):
            await job.result(timeout_s=60)
    assert (await job.info()).attempts_started == 1


async def test_a_result_that_is_not_what_the_annotation_says_fails_with_the_reason(
    app: App,
) -> None:
    """It completed, and whoever waited for it could not read it."""

    @app.task()
    async def give() -> dict[int, int]:
        return {1: "one"}  # type: ignore[dict-item]

    async with working(app):
        job = await give.enqueue()
        with pytest.raises(JobFailedError, match=r"cannot be stored: Expected `int`, got `str`"):
            await job.result(timeout_s=60)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, {}),  # `add` says {} for nothing
        ([1, {"a": None}], [1, {"a": None}]),
        ("text", "text"),
        (1.5, 1.5),
        (False, False),
        ({"b": 1}, {"b": 1}),
    ],
)
async def test_a_task_without_parameters_sees_any_payload_by_its_context(
    app: App, data: Any, expected: Any
) -> None:
    """Only objects could be taken, and of these only the fields that have parameters."""

    @app.task(queue="q", retry=ONCE)
    async def on_the_loop(ctx: Context) -> Any:
        return ctx.data

    @app.task(queue="q", retry=ONCE)
    def in_a_thread(ctx: Context) -> Any:
        return ctx.data

    async with working(app):
        jobs = [await app.queue("q").add(name, data) for name in ("on_the_loop", "in_a_thread")]
        results = [await job.result(timeout_s=60) for job in jobs]

    assert results == [expected, expected]


async def test_a_parameter_takes_the_whole_payload(app: App) -> None:
    @app.task(queue="q", retry=ONCE)
    async def total(numbers: WholePayload[list[int]], *, ctx: Context | None = None) -> int:
        assert ctx is not None
        assert ctx.data == numbers
        return sum(numbers)

    async with working(app):
        jobs: list[Job[Any]] = [
            await total.enqueue([1, 2]),
            await total.enqueue(numbers=[3]),
            await app.queue("q").add("total", [4, 5]),
            *await total.enqueue_many([{"numbers": [6]}]),
        ]
        assert [await job.result(timeout_s=60) for job in jobs] == [3, 3, 9, 6]
        wrong = await app.queue("q").add("total", {"numbers": [1]})
        with pytest.raises(JobFailedError, match="field 'numbers': Expected `array`"):
            await wrong.result(timeout_s=60)


async def test_a_context_may_be_optional_and_annotated(app: App) -> None:
    """`Context | None = None` was always None, and an annotated one was taken for a field."""

    @app.task()
    async def optional(to: str, context: Context | None = None) -> str:
        return f"{to} {context is not None and context.job_id}"

    @app.task()
    async def annotated(context: Annotated[Context, "how it goes"], to: str) -> str:
        return f"{to} {context.job_id}"

    async with working(app):
        for task in (optional, annotated):
            job = await task.enqueue(to="Jo")
            assert await job.result(timeout_s=60) == f"Jo {job.id}"


async def test_middleware_may_still_return_what_it_likes(app: App) -> None:
    """Its results are not the task's own, and are not held against the task's annotation."""

    @app.middleware
    async def around(context: Context, call: Call) -> object:
        return {"own": await call()} if context.data else await call()

    @app.task(retry=ONCE)
    def give(a: int = 0) -> dict[int, int]:
        return {1: a}

    async with working(app):
        own = await give.enqueue()
        assert await own.result(timeout_s=60) == {1: 0}
        replaced = await give.enqueue(a=5)
        with pytest.raises(InvalidPayloadError, match=r"field '\(result\)'"):
            await replaced.result(timeout_s=60)

    info = await replaced.info()
    assert (info.state, info.result) == (State.COMPLETED, {"own": {"1": 5}})
