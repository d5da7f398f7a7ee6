"""The picture of a report."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from benchmarks.figures import Compared, Figure, Series
from benchmarks.plot import draw, panels_of
from msgspec.structs import replace

SERIES = Series(2_000.0, 1_000.0, 3_000.0, 3)


def figure(group: str, title: str, unit: str = "jobs/s", series: Series = SERIES) -> Figure:
    return Figure(
        section="redis",
        group=group,
        title=title,
        unit=unit,
        better="more" if unit == "jobs/s" else "less",
        toril=series,
        peers={"bullmq_node": Compared(SERIES, 1.0)},
        notes=[],
    )


ADD = figure("add-alone", "add, each awaited")
LATE = figure("pickup-one", "pick-up, p50", "ms")


def test_the_same_figures_give_the_same_picture_to_the_byte(tmp_path: Path) -> None:
    first, second = tmp_path / "first.svg", tmp_path / "second.svg"

    draw([ADD, LATE], "redis", first)
    draw([ADD, LATE], "redis", second)

    assert first.read_bytes() == second.read_bytes()


def test_another_figure_changes_the_marks_and_little_else(tmp_path: Path) -> None:
    path = tmp_path / "page-redis.svg"
    draw([ADD], "redis", path)
    before = path.read_text().splitlines()
    draw([figure("add-alone", "add, each awaited", series=Series(2_500.0, 1_100.0, 3_000.0, 3))],
         "redis", path)  # fmt: skip
    after = path.read_text().splitlines()

    changed = [one for one, other in zip(before, after, strict=True) if one != other]

    assert 1 <= len(changed) <= 6


def test_lines_of_the_table_of_queues_are_not_drawn() -> None:
    of_a_queue = replace(ADD, heading="add, one by one")

    assert panels_of([of_a_queue], "redis") == []
    assert [panel.lines for panel in panels_of([ADD, of_a_queue], "redis")] == [[ADD]]


def test_the_picture_says_in_text_what_it_shows(tmp_path: Path) -> None:
    path = tmp_path / "page-redis.svg"

    image = draw([ADD, LATE], "redis", path)

    assert image is not None
    assert image.startswith("![Toril on Redis beside BullMQ on Node: ")
    assert image.endswith("](page-redis.svg)")
    texts = {(node.text or "").strip() for node in ElementTree.parse(path).iter()}
    assert {"add, each awaited", "pick-up, p50", "Toril", "BullMQ on Node", "1,000"} <= texts


def test_where_nothing_can_be_drawn_the_old_picture_goes(tmp_path: Path) -> None:
    path = tmp_path / "page-redis.svg"
    path.write_text("old")

    assert draw([figure("idle-one", "idle, CPU", "s")], "redis", path) is None
    assert not path.exists()


@pytest.mark.parametrize(
    "left_out",
    [
        figure("process-10", "process, thread task, 10 at once"),
        figure("process-best", "process, each at its best"),
        figure("pickup-one", "pick-up, p99.9", "ms"),
        figure("switches", "process, with a log line"),
    ],
)
def test_lines_that_say_nothing_new_are_left_to_the_table(left_out: Figure) -> None:
    (panel,) = panels_of([ADD, left_out], "redis")

    assert panel.lines == [ADD]
