"""A flow's parent that puts together what its children made, on both stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from toril import App, InvalidOptionError, RetryPolicy
from toril.library.flows import CollectSettings
from toril.library.flows.tasks import collect, flows
from toril.services.objects.folder import FolderObjects


@pytest.fixture
async def app(url: str) -> AsyncIterator[App]:
    made = App(url)
    made.include(flows)

    @made.task(queue="process-video", retry=RetryPolicy(max_attempts=1))
    async def video(video_id: str) -> dict[str, str]:
        if video_id == "broken":
            raise ValueError("no video")
        return {"videoId": video_id}

    @made.task(queue="other")
    async def other(size: int) -> str:
        return "x" * size

    yield made
    await made.close()


async def collected(app: App, *children: Any) -> Any:
    parent = app.bound(collect).node({"courseId": "c1"}, children=children)
    flow = await app.flows.add(parent)
    await app.worker().run(until_idle=True)
    return await flow.root.info()


async def test_results_are_grouped_by_queue(app: App) -> None:
    app.provide(CollectSettings(groups={"process-video": "videos", "generate-pdf": "documents"}))
    video, other = app.find_task("video"), app.find_task("other")

    info = await collected(app, video.node("v2"), other.node(2), video.node("v1"))

    assert info.state == "completed", info.failed_reason
    assert [one["videoId"] for one in info.result.pop("videos")] == ["v1", "v2"]
    assert info.result == {"courseId": "c1", "documents": [], "other": ["xx"]}


async def test_children_that_the_parent_goes_on_without_are_named(app: App) -> None:
    app.provide(CollectSettings())
    video = app.find_task("video")
    broken = video.with_options(job_id="bad").node("broken", on_failure="ignore")

    info = await collected(app, broken, video.node("v1"))

    assert info.state == "completed", info.failed_reason
    assert info.result["process-video"] == [{"videoId": "v1"}]
    (place, reason), *rest = info.result["failures"].items()
    assert (place, rest) == ("process-video:bad", [])
    assert "no video" in reason


async def test_large_results_go_to_a_storage(app: App, tmp_path: Path) -> None:
    storage = FolderObjects(tmp_path / "objects")
    app.provide(CollectSettings(objects=storage))

    info = await collected(app, *[app.find_task("other").node(40_000) for _ in range(2)])

    assert info.state == "completed", info.failed_reason
    assert sorted(info.result) == ["bytes", "courseId", "key"]
    assert info.result["key"].startswith("flows/")
    async with await storage.get(info.result["key"]) as stored:
        text = await stored.read(max_bytes=10_000_000)
    assert info.result["bytes"] == len(text)
    assert msgspec.json.decode(text) == {"courseId": "c1", "other": ["x" * 40_000] * 2}


async def test_large_results_without_a_storage_fail_at_once(app: App) -> None:
    app.provide(CollectSettings(inline_bytes=100))

    info = await collected(app, app.find_task("other").node(101))

    assert (info.state, info.attempts_made) == ("failed", 1)
    assert "give CollectSettings a storage (objects=)" in info.failed_reason


def test_settings_name_what_makes_no_sense() -> None:
    for given, said in (
        ({"prefix": "/x"}, "prefix='/x'"),
        ({"inline_bytes": 70_000}, "inline_bytes=70000"),
        ({"groups": {"a": ""}}, r"groups\['a'\]=''"),
        ({"groups": {"a:b": "x"}}, "a:b"),
    ):
        with pytest.raises(InvalidOptionError, match=said):
            CollectSettings(**given)
