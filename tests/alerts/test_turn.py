"""Who is told what, as a pure function; and options that make no sense."""

from __future__ import annotations

from typing import Any

import pytest
from tests.alerts.watching import Outside, Remembering

from toril import AlertOptions, AlertThresholds, InvalidOptionError
from toril.alerts.records import AlertRecord, MuteRecord
from toril.alerts.turn import MOST_MESSAGES, Finding, turn

OPTIONS = AlertOptions(channels=[Remembering()], cooldown_s=900, recovery_s=60)


class Story:
    """Turns, one after the other."""

    def __init__(self) -> None:
        self.known: dict[str, AlertRecord] = {}
        self.mutes: list[MuteRecord] = []

    def at(self, second: int, *findings: Finding) -> list[str]:
        """Return what is told at a moment."""
        made = turn(
            self.known, findings, self.mutes, OPTIONS, source="shop",
            now_ms=1_000_000 + second * 1000,
        )  # fmt: skip
        self.known |= made.changed
        for key in made.gone:
            del self.known[key]
        return [f"{one.rule} {one.queue} {one.state}" for one in made.messages]


def found(queue: str = "mail", **fields: Any) -> Finding:
    return Finding(**{
        "rule": "queue_size", "subject": queue, "value": 2, "threshold": 1, "text": "long", **fields
    })  # fmt: skip


def test_what_goes_away_before_its_time_is_forgotten() -> None:
    story = Story()

    assert story.at(0, found(hold_s=60)) == []
    assert story.at(45, found(hold_s=60)) == []
    assert story.at(50) == []
    assert story.known == {}
    assert story.at(60, found(hold_s=60)) == []
    assert story.at(120, found(hold_s=60)) == ["queue_size mail raised"]


def test_what_flaps_is_told_once_within_its_cool_down() -> None:
    story = Story()

    told = [story.at(second, *([found()] if second % 200 < 100 else [])) for second in
            range(0, 880, 20)]  # fmt: skip

    assert [one for each in told for one in each] == [
        "queue_size mail raised",
        "queue_size mail recovered",
    ]
    assert story.at(900, found()) == ["queue_size mail raised"]


def test_what_has_recovered_is_forgotten_after_its_cool_down() -> None:
    story = Story()
    story.at(0, found())

    assert story.at(60) == ["queue_size mail recovered"]
    assert story.at(899) == []
    assert list(story.known) == ["queue_size:mail"]
    story.at(900)
    assert story.known == {}


def test_rules_that_count_tell_again_when_there_is_more() -> None:
    story = Story()
    story.at(0, found(rule="dead_letter", latest_ms=999_000))

    assert story.at(600, found(rule="dead_letter", latest_ms=1_500_000)) == []
    assert story.at(900, found(rule="dead_letter", latest_ms=1_500_000)) == [
        "dead_letter mail raised"
    ]
    assert story.at(1900, found(rule="dead_letter", latest_ms=1_500_000)) == []


def test_what_is_muted_is_told_when_the_mute_ends() -> None:
    story = Story()
    story.mutes = [MuteRecord(rule="queue_*", queue="ma*", until_ms=1_000_000 + 300_000)]

    assert story.at(0, found(), found("reports")) == ["queue_size reports raised"]
    assert story.at(299, found(), found("reports")) == []
    assert story.at(300, found(), found("reports")) == ["queue_size mail raised"]


def test_recovery_of_what_was_muted_is_not_told() -> None:
    story = Story()
    story.at(0, found())
    story.mutes = [MuteRecord(rule="*", queue="*", until_ms=2**50)]

    assert story.at(100) == []
    story.mutes = []
    assert story.at(200) == []


def test_worker_is_muted_by_all_of_its_queues() -> None:
    story = Story()
    lost = found("a, b", rule="worker_lost", queues=["a", "b"])
    story.mutes = [MuteRecord(rule="*", queue="a", until_ms=2**50)]

    assert story.at(0, lost) == ["worker_lost a, b raised"]


def test_flood_is_told_in_few_messages() -> None:
    story = Story()

    told = story.at(0, *(found(f"q{number}") for number in range(300)))

    assert len(told) == MOST_MESSAGES
    assert told[-1] == f"many {300 - MOST_MESSAGES + 1} queues raised"
    assert len(story.known) == 300
    assert len(story.at(100)) == MOST_MESSAGES


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"size": 0}, "size=0: expected an integer from 1, or None"),
        ({"failure_ratio": 10}, "failure_ratio=10"),
        ({"growth_samples": 1}, "growth_samples=1"),
        ({"window_s": 10}, "window_s=10"),
        ({"min_attempts": 0}, "min_attempts=0"),
        ({"surge_factor": 1}, "surge_factor=1"),
        ({"oldest_s": -1}, "oldest_s=-1"),
    ],
)
def test_threshold_that_makes_no_sense_is_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidOptionError) as refused:
        AlertThresholds(**fields)
    assert str(refused.value).startswith(problem)


@pytest.mark.parametrize(
    "fields",
    [
        {"channels": []},
        {"channels": [Remembering(), Remembering()]},
        {"channels": [Remembering()], "every_s": 0},
        {"channels": [Remembering()], "queues": {"mail": 5}},
    ],
)
def test_options_that_make_no_sense_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError):
        AlertOptions(**fields)


def test_queue_has_the_thresholds_of_its_name_or_of_the_first_pattern() -> None:
    one, two = AlertThresholds(size=1), AlertThresholds(size=2)
    options = AlertOptions(
        channels=[Remembering()], queues={"m*": one, "mail": two, "scratch*": None}
    )

    assert options.of("mail") is two
    assert options.of("media") is one
    assert options.of("scratch-1") is None
    assert options.of("other") is options.thresholds


async def test_queue_that_is_not_watched_raises_nothing(outside: Outside) -> None:
    outside.options(
        AlertOptions(
            channels=[outside.channel],
            thresholds=AlertThresholds(size=1),
            queues={"scratch*": None, "big": AlertThresholds(size=5, no_worker_s=None)},
        )
    )
    for queue in ("scratch-1", "big", "mail"):
        await outside.app.queue(queue).add_many([("x", {})] * 3)
    await outside.pass_time(15)

    assert outside.told == ["queue_size mail raised"]


async def test_letters_that_wait_are_no_backlog(outside: Outside) -> None:
    """Nobody serves a dead-letter queue, and nobody has to."""
    await outside.app.queue("mail").set_dead_letter("letters")
    await outside.app.queue("mail").pause()  # so that Redis lists it, without a job
    await outside.app.queue("letters").add_many([("x", {})] * 1500)
    await outside.app.queue("dead-letter").add("x", {})
    await outside.pass_time(3600, step_s=600)

    assert outside.told == []
