"""Draws the report on a store: a mark for each median, a line from the least to the most.

The axes are logarithmic, since a job in a batch costs a hundredth of one that is awaited; they end
at powers of ten, and nothing in the file is of the day or drawn by lot. So two pictures of much the
same figures differ in little but the marks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Figure, Series
from benchmarks.order import Peer, Store
from benchmarks.peers import TITLES
from benchmarks.sections import NAMES, PEERS, SECTIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

OURS = ("#d1495b", "D")
STYLES = (
    *(("#0072b2", "o"), ("#009e73", "s"), ("#e69f00", "^"), ("#56b4e9", "v"), ("#6a3d9a", "P")),
    *(("#b15928", "X"), ("#333333", "<"), ("#999999", ">"), ("#cc79a7", "h"), ("#8c8c00", "p")),
)
"""Colour and shape by peer: no two are told apart by the colour alone."""
LEFT_OUT = ("switches", "claim")
"""Groups whose lines differ by less than an axis of powers of ten can show."""
WIDTH_IN, PANEL_IN, HEAD_IN = 9.5, 0.85, 0.5
LINE_IN, MARK_IN = 0.3, 0.1
"""Height of a line, at least, and of each mark in it."""
LABELS_RATIO = 0.37
"""Share of the width that titles of lines take."""
SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text, in whatever face the reader has
    "svg.hashsalt": "toril",
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
}


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines on one axis."""

    title: str
    lines: Sequence[Figure]


def draw(figures: Sequence[Figure], store: Store, path: Path) -> str | None:
    """Draw what can be drawn of a store, and return it as an image in Markdown.

    Returns:
        None if there is nothing to draw; an old picture is removed then.
    """
    import matplotlib as mpl  # here: it takes a second, also in whoever draws nothing

    panels = panels_of(figures, store)
    if not panels:
        path.unlink(missing_ok=True)
        return None
    shown: list[Peer] = [
        who
        for who in ("toril", *PEERS[store])
        if any(line.series(who) for panel in panels for line in panel.lines)
    ]
    with mpl.rc_context(SETTINGS):
        canvas = _canvas(panels, shown)
        nothing_of_the_day = {"Date": None, "Creator": None, "Title": _alternative(store, shown)}
        canvas.savefig(path, format="svg", metadata=nothing_of_the_day)
    # The lines of a path end with a blank.
    text = "\n".join(line.rstrip() for line in path.read_text("utf-8").splitlines())
    path.write_text(f"{text}\n", "utf-8")
    return f"![{_alternative(store, shown)}]({path.name})"


def panels_of(figures: Sequence[Figure], store: Store) -> list[Panel]:
    """Return what is drawn: rates and latencies of each section."""
    panels = []
    for section in SECTIONS:
        found = [
            figure
            for figure in figures
            if figure.section == section.name
            and section.store == store
            and figure.toril
            and figure.heading is None
        ]
        rates = [
            figure
            for figure in found
            if figure.unit == "jobs/s"
            and figure.group not in (*LEFT_OUT, "process-best")
            # One of the three places where a task runs: the one that peers have too.
            and not figure.title.startswith(("process, thread task", "process, process task"))
        ]
        late = [
            figure
            for figure in found
            if figure.group.startswith("pickup") and not figure.title.endswith("p99.9")
        ]
        title = section.title.partition(":")[0].replace("`", "")
        if rates:
            panels.append(Panel(f"{title}: jobs per second (logarithmic), more is better", rates))
        if late:
            panels.append(Panel(f"{title}: milliseconds (logarithmic), less is better", late))
    return panels


def _alternative(store: Store, shown: Sequence[Peer]) -> str:
    *others, last = [TITLES[who] for who in shown if who != "toril"] or [""]
    names = f"{', '.join(others)} and {last}" if others else last
    beside = f" beside {names}" if names else ""
    return (
        f"Toril on {NAMES[store]}{beside}: jobs per second and latency on logarithmic axes."
        " The tables below have the same figures."
    )


def _canvas(panels: Sequence[Panel], shown: Sequence[Peer]) -> Canvas:
    from matplotlib.figure import Figure as Canvas
    from matplotlib.lines import Line2D

    line_in = max(LINE_IN, MARK_IN * len(shown))
    heights = [PANEL_IN + line_in * len(panel.lines) for panel in panels]
    height_in = HEAD_IN + sum(heights)
    canvas = Canvas(figsize=(WIDTH_IN, height_in))
    canvas.patch.set_facecolor("white")  # on a dark page too
    top = height_in - HEAD_IN
    for panel, own in zip(panels, heights, strict=True):
        bottom = top - own
        box = (
            *(LABELS_RATIO, (bottom + 0.4) / height_in),
            *(1 - LABELS_RATIO - 0.03, (own - PANEL_IN + 0.05) / height_in),
        )
        _fill(canvas.add_axes(box), panel, shown)
        top = bottom
    marks = [
        Line2D([], [], color=color, marker=shape, linestyle="", label=TITLES[who])
        for who in shown
        for color, shape in [_style(who)]
    ]
    canvas.legend(handles=marks, loc="upper center", ncols=min(6, len(marks)), frameon=False)
    return canvas


def _fill(axes: Axes, panel: Panel, shown: Sequence[Peer]) -> None:
    all_series: list[Series] = []
    for index, line in enumerate(panel.lines):
        for place, who in enumerate(shown):
            series = line.series(who)
            if series is None:
                continue
            all_series.append(series)
            color, shape = _style(who)
            # Side by side within the line, so that none hides another.
            height = index + 0.62 * ((place + 0.5) / len(shown) - 0.5)
            axes.plot([series.least, series.most], [height, height], color=color, linewidth=1.2)
            size = 6.5 if who == "toril" else 5
            axes.plot([series.median], [height], color=color, marker=shape, markersize=size)
    axes.set_xscale("log")
    least = min(series.least for series in all_series)
    most = max(series.most for series in all_series)
    axes.set_xlim(_power_of_ten(least, math.floor), _power_of_ten(most * 1.01, math.ceil))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.set_ylim(len(panel.lines) - 0.5, -0.5)
    axes.set_yticks(range(len(panel.lines)), [line.title for line in panel.lines])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_title(panel.title, loc="left", x=-LABELS_RATIO / (1 - LABELS_RATIO - 0.03) + 0.02)
    for between in range(1, len(panel.lines)):
        axes.axhline(between - 0.5, color="#eeeeee", linewidth=0.6)


def _style(who: Peer) -> tuple[str, str]:
    if who == "toril":
        return OURS
    others = [peer for peer in TITLES if peer != "toril"]
    return STYLES[others.index(who) % len(STYLES)]


def _power_of_ten(value: float, whole: Callable[[float], int]) -> float:
    return 10.0 ** whole(math.log10(value))
