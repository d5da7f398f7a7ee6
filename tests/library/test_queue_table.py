"""Options of queues in a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from toril import JobOptions, KeepPolicy
from toril.core.errors import InvalidSettingError
from toril.library.queue_table import QueueTable

TABLE = """
[mail]
concurrency = 10
attempts = 2
backoff = 1500
removeOnComplete = 100
removeOnFail = false
priority = "low"

[letters]
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
