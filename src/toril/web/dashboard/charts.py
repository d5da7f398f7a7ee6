"""Drawings that the server makes: sparklines as SVG, and texts made harmless for a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup

WIDTH, HEIGHT = 96, 22
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]")
_ODD = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def sparkline(values: Sequence[float], kind: str = "good", most: float | None = None) -> Markup:
    """Return a line of some values as SVG, which a screen reader passes over.

    Parameters:
        values: Oldest first. Fewer than two are no line.
        kind: Its colour: `good`, `bad` or `note`.
        most: What reaches the top. None: the greatest value.
    """
    if len(values) < 2 or not any(values):
        return Markup("")
    top = max(most or 0, *values) or 1
    step = WIDTH / (len(values) - 1)
    points = " ".join(
        f"{place * step:.1f},{HEIGHT - 1 - (HEIGHT - 3) * value / top:.1f}"
        for place, value in enumerate(values)
    )
    area = f"0,{HEIGHT} {points} {WIDTH},{HEIGHT}"
    return Markup(
        '<svg class="spark spark-{kind}" viewBox="0 0 {width} {height}" width="{width}"'
        ' height="{height}" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<polygon points="{area}"/><polyline points="{points}"/></svg>'
    ).format(kind=kind, width=WIDTH, height=HEIGHT, area=area, points=points)


Row = tuple[datetime, *tuple[float | None, ...]]


def points_of(rows: Sequence[Row]) -> list[list[float | None]]:
    """Return the points of a chart as its script reads them: an epoch in seconds, then figures.

    Parameters:
        rows: A moment, then its figures; four digits of each are more than can be seen.
    """
    return [
        [int(at.timestamp()), *(None if one is None else float(f"{one:.4g}") for one in figures)]
        for at, *figures in rows
    ]


def harmless(text: str) -> str:
    """Return a text without what would move or hide others.

    Colours of terminals are taken out; controls and marks that turn the direction of writing are
    replaced by a sign.
    """
    return _ODD.sub("\ufffd", _ANSI.sub("", text))
