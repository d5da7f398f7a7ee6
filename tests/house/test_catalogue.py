"""Each ready-made task has a promise sheet, and each family a page that prints it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from toril.engine.options import KeepPolicy, RetryPolicy
from toril.library.catalogue import FAMILIES, promises_of, sheet, tasks_of
from toril.tasks.bundle import TaskBundle

ROOT = Path(__file__).parents[2]


def test_each_family_is_in_the_catalogue() -> None:
    folders = {path.parent.name for path in (ROOT / "src/toril/library").glob("*/tasks.py")}

    assert folders == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_task_promises_everything(family: str) -> None:
    promises = promises_of(family)

    assert set(promises) == {task.options.name for task in tasks_of(family)}
    for name, promise in promises.items():
        for field in fields(promise):
            said = getattr(promise, field.name)
            assert said or field.name == "memory", f"{name} says nothing of {field.name}"


@pytest.mark.parametrize("family", FAMILIES)
def test_page_of_each_family_prints_its_sheets(family: str) -> None:
    page = (ROOT / f"docs/library/{family}.md").read_text()

    assert f"<!-- made: promises of {family} -->" in page


def test_sheet_says_what_the_options_say() -> None:
    bundle = TaskBundle()

    @bundle.task(
        name="send",
        queue="mail",
        timeout=None,
        retry=RetryPolicy(max_attempts=7, base_s=2.0, give_up_on=(KeyError,)),
        keep_completed=KeepPolicy(count=0),
        keep_failed=KeepPolicy(age_s=86_400.0),
    )
    async def send() -> None: ...

    @bundle.task(name="once", retry=RetryPolicy(max_attempts=1), run_in="thread", timeout=5)
    def once() -> None: ...

    @bundle.task(
        name="often",
        retry=RetryPolicy(max_attempts=3, backoff="fixed", base_s=5.0),
        keep_completed=KeepPolicy(count=1000, age_s=43_200.0),
    )
    def often() -> None: ...

    promise = promises_of("images")["process-upload"]
    sent, one, many = (dict(sheet(task, promise)) for task in bundle.tasks)
    assert sent["Queue"] == "`mail`, on the event loop"
    assert sent["Time limit"] == "none"
    assert sent["Retry"] == (
        "7 attempts, after 2 s, 4 s, 8 s, 16 s and so on; never after `KeyError`"
    )
    assert sent["Kept"] == "no completed, all for 1 days failed"
    assert one["Retry"] == "one attempt"
    assert one["Time limit"] == "5 s"
    assert many["Retry"] == "3 attempts, 5 s apart"
    assert many["Kept"].startswith("the newest 1,000 for 0.5 days completed")
    assert many["Queue"] == "`default`, in threads"
    processed = next(task for task in tasks_of("images") if task.name == "process-upload")
    assert dict(sheet(processed, promise))["Queue"] == "`media-processing`, in child processes"
