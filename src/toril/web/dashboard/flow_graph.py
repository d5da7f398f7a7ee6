"""A flow as a page shows it: cut to what fits, as an outline and as a drawing in layers.

What needs a person comes first: failed jobs before those that run, and finished ones last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from toril.engine.states import State
from toril.rest.answers import FlowJob

OUTLINE = 80
"""Jobs in the outline."""
DRAWN = 40
"""Jobs in the drawing: more of them are no picture."""
CHILDREN = 12
"""Of one job, in the outline and the drawing."""
OF_ROOT = 40
"""Children of the root, in the outline."""
WIDTH, HEIGHT = 236, 46
"""Of a job in the drawing."""
COLUMN, ROW = 296, 56
"""From one job to the next, to the side and downwards."""
MARGIN = 8
_URGENCY = {
    State.FAILED: 0,
    None: 1,
    State.ACTIVE: 2,
    State.WAITING_CHILDREN: 3,
    State.PRIORITIZED: 4,
    State.WAIT: 4,
    State.DELAYED: 4,
    State.COMPLETED: 5,
}


@dataclass(kw_only=True)
class Branch:
    """A job of a flow with those below it that are shown."""

    job: FlowJob
    below: list[Branch] = field(default_factory=list)
    hidden: int = 0
    """Children that are known, and not shown."""

    @property
    def state(self) -> str | None:
        """Its state; None: it is gone, and nothing says how it ended."""
        if self.job.state is not None:
            return str(self.job.state)
        return {"completed": "completed", "failed": "failed", "ignored": "failed"}.get(
            self.job.fate or ""
        )

    @property
    def gone(self) -> bool:
        """Whether the job itself is no longer there."""
        return self.job.name is None

    @property
    def more(self) -> bool:
        """Whether it has children that are not shown."""
        return self.hidden > 0 or self.job.cut

    def all(self) -> Iterator[Branch]:
        """Yield it and all below it that are shown, each before those below it."""
        yield self
        for branch in self.below:
            yield from branch.all()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a job stands in the drawing."""

    branch: Branch
    x: int
    y: int


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A flow from left to right: jobs, and the lines between them."""

    places: list[Place]
    lines: list[str]
    """Paths of SVG, from each parent to each of its children."""
    width: int
    height: int


def branches(
    nodes: Sequence[FlowJob], most: int = OUTLINE, *, of_root: int = OF_ROOT, first: int = 0
) -> Branch:
    """Return a flow cut to a number of jobs: level by level, the most urgent of each parent.

    Parameters:
        nodes: Each job before its children, the root first.
        most: How many jobs.
        of_root: How many of them may be children of the root.
        first: The place of the first child of the root that is shown.
    """
    root = nodes[0]
    children: dict[tuple[str, str], list[FlowJob]] = {}
    for node in nodes[1:]:
        children.setdefault((node.parent_queue or "", node.parent_id or ""), []).append(node)
    top = Branch(job=root)
    todo, many, seen = [top], 1, {(root.queue, root.id)}
    for branch in todo:  # it grows meanwhile
        below = children.get((branch.job.queue, branch.job.id), [])
        below.sort(key=lambda node: _URGENCY[node.state])
        if branch is top:
            below = below[first:]
        room = min(of_root if branch is top else CHILDREN, most - many)
        for node in below[: max(0, room)]:
            child = Branch(job=node)
            branch.below.append(child)
            many += 1
            # A job that is its own grandchild by damage is shown, and not gone into.
            if (node.queue, node.id) not in seen:
                seen.add((node.queue, node.id))
                todo.append(child)
        branch.hidden = len(below) - len(branch.below)
    return top


def drawing(root: Branch) -> Drawing:
    """Return a flow as a drawing: parents on the left, in the middle of their children."""
    places: list[Place] = []
    lines: list[str] = []
    bottom = MARGIN
    deepest = 0

    def put(branch: Branch, depth: int) -> int:
        nonlocal bottom, deepest
        deepest = max(deepest, depth)
        rows = [put(child, depth + 1) for child in branch.below]
        if rows:
            y = (rows[0] + rows[-1]) // 2
        else:
            y, bottom = bottom, bottom + ROW
        x = MARGIN + depth * COLUMN
        places.append(Place(branch=branch, x=x, y=y))
        begin_x, begin_y = x + WIDTH, y + HEIGHT // 2
        end_x = x + COLUMN
        middle = (begin_x + end_x) // 2
        for row in rows:
            end_y = row + HEIGHT // 2
            lines.append(
                f"M{begin_x} {begin_y}C{middle} {begin_y} {middle} {end_y} {end_x} {end_y}"
            )
        return y

    put(root, 0)
    return Drawing(
        places=places,
        lines=lines,
        width=2 * MARGIN + deepest * COLUMN + WIDTH,
        height=bottom - ROW + HEIGHT + MARGIN,
    )
