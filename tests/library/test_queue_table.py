"""Options of queues in a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from toril import JobOptions, KeepPolicy
from toril.core.errors import InvalidSettingError
from toril.library.queue_table import QueueTable
from toril.testing import MemoryApp

TABLE = """
[mail]
concurrency = 10
attempts = 2
backoff = 1500
removeOnComplete = 100
removeOnFail = false
priority = "low"

[letters]
job = "letter"
schedules = [{ id = "nightly", cron = "0 3 * * *", data = { a = 1 } }]
attempts = 1
backoff = 0
removeOnComplete = true
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "queues.toml"
    found.write_text(TABLE)
    return found


def test_table_gives_options_in_our_words(path: Path) -> None:
    table = QueueTable.load(path)

    assert [*table] == ["mail", "letters"]
    assert table["mail"].concurrency == 10
    assert table.options("mail") == JobOptions(
        max_attempts=2, backoff="exponential", backoff_s=1.5, priority=3,
        keep_completed=KeepPolicy(count=100), keep_failed=KeepPolicy(),
    )  # fmt: skip
    assert table.options("mail", "high").priority == 1
    assert table.options("letters").keep_completed == KeepPolicy(count=0)


async def test_queues_are_set_up_once_and_what_was_changed_stays(path: Path) -> None:
    table = QueueTable.load(path)
    async with MemoryApp() as app:
        await table.set_up(app, dead_letter="letters")
        await app.queue("mail").set_dead_letter("elsewhere")
        await app.schedules.put("nightly", app.queue("letters"), {}, name="x", cron="0 4 * * *")
        await table.set_up(app, dead_letter="letters")
        kept = await app.schedules.get("nightly")
        rules = [await app.queue(name).dead_letter() for name in table]
        (back,) = await table.schedule(app)

    assert kept is not None
    assert (kept.name, kept.data) == ("x", {})
    assert rules == ["elsewhere", None]
    assert (back.id, back.name, back.data, back.cron) == (
        "nightly", "letter", {"a": 1}, "0 3 * * *",
    )  # fmt: skip
    assert table.jobs == {"mail": "mail", "letters": "letter"}


async def test_bound_task_has_the_options_of_its_queue(path: Path) -> None:
    table = QueueTable.load(path)
    async with MemoryApp() as app:

        @app.task(queue="elsewhere")
        async def work() -> None: ...

        table.bind(app, "mail", work, names="work")
        job = await app.queue("mail").add("work")
        info = await job.info()

    assert (info.priority, info.max_attempts) == (3, 2)


def test_single_values_can_be_changed(path: Path) -> None:
    table = QueueTable.load(path, '{"mail": {"attempts": 5}}')

    assert (table["mail"].attempts, table["mail"].concurrency) == (5, 10)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("{", "QUEUE_OPTIONS: no JSON"),
        ("[]", "QUEUE_OPTIONS: expected an object"),
        ('{"mail": 5}', "QUEUE_OPTIONS: expected an object"),
        ('{"mial": {}}', "did you mean 'mail'"),
        ('{"mail": {"attempts": 0}}', "queue 'mail'.*attempts"),
        ('{"mail": {"atempts": 1}}', "queue 'mail'.*atempts"),
        ('{"mail": {"priority": "hihg"}}', "queue 'mail'.*high"),
    ],
)
def test_nonsense_is_named(path: Path, changes: str, said: str) -> None:
    with pytest.raises(InvalidSettingError, match=said):
        QueueTable.load(path, changes)
