"""How much there is to do, for autoscalers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it has no types of its own

from toril import InvalidOptionError, JobOptions
from toril.testing import MemoryApp

KEDA = Path(__file__).parents[2] / "docs" / "operate" / "keda.yaml"
METRICS_API = {
    "url", "valueLocation", "targetValue", "activationTargetValue", "format", "unsafeSsl",
    "authMode", "method",
}  # fmt: skip
"""What KEDA's documentation lists for the scaler `metrics-api`."""


async def test_jobs_are_those_that_workers_could_run() -> None:
    async with MemoryApp() as app:
        for number in range(25):
            await app.queue("mail").add("send", {"number": number})
        await app.queue("mail").add("send", {}, JobOptions(delay_s=60))
        await app.queue("news").add("send", {})
        app.clock.advance(3)

        found = await app.scaling(["mail"])

        assert (found.jobs, found.waiting, found.active) == (25, 25, 0)
        assert (found.oldest_waiting_s, found.workers, found.slots) == (3.0, 0, 0)
        assert found.suggested_workers == 3
        assert (await app.scaling()).jobs == 26
        assert (await app.scaling(["mail"], concurrency=5)).suggested_workers == 5
        await app.queue("mail").set_concurrency(4)
        assert (await app.scaling(["mail"])).jobs == 4
        await app.queue("mail").pause()
        paused = await app.scaling(["mail"])
        assert (paused.jobs, paused.waiting, paused.suggested_workers) == (0, 25, 0)


async def test_live_workers_tell_how_many_jobs_one_runs() -> None:
    async with MemoryApp() as app:
        await app.queue("mail").pause()
        async with (
            app.worker(queues=["mail"], concurrency=4),
            app.worker(queues=["mail", "news"], concurrency=6),
        ):
            found = await app.scaling(["mail"])
            other = await app.scaling(["news"])

    assert (found.workers, found.slots, found.busy_slots) == (2, 10, 0)
    assert (other.workers, other.slots) == (1, 6)


async def test_queues_that_are_not_there_need_nobody() -> None:
    async with MemoryApp() as app:
        found = await app.scaling(["mail"])
        with pytest.raises(InvalidOptionError, match="concurrency=0"):
            await app.scaling(["mail"], concurrency=0)

    assert set(found.plain().values()) == {0}


async def test_sample_manifest_reads_a_number_that_is_there() -> None:
    scaled: Any
    secret: Any
    scaled, secret = yaml.safe_load_all(KEDA.read_text("utf-8"))
    async with MemoryApp() as app:
        told = json.loads(json.dumps((await app.scaling()).plain()))

    assert (scaled["apiVersion"], scaled["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["type"] == "metrics-api"
    assert set(trigger["metadata"]) <= METRICS_API
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    assert isinstance(told[trigger["metadata"]["valueLocation"]], int)
    assert float(trigger["metadata"]["targetValue"]) > 0
    assert "/api/v1/scaling?" in trigger["metadata"]["url"]
    assert (trigger["metadata"]["authMode"], secret["kind"]) == ("bearer", "TriggerAuthentication")
    assert trigger["authenticationRef"]["name"] == secret["metadata"]["name"]
    assert [one["parameter"] for one in secret["spec"]["secretTargetRef"]] == ["token"]
