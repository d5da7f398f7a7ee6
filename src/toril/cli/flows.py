"""`toril flows`: which trees of jobs wait, which are stuck and why, and one of them as a tree."""

from __future__ import annotations

from typing import Any

import click

from toril.app import App
from toril.cli.access import ask
from toril.cli.job_words import STYLES
from toril.cli.main import SuggestingGroup
from toril.cli.options import store_options
from toril.cli.output import (
    BAD,
    DIM,
    HEAD,
    WARN,
    Cell,
    Column,
    Output,
    ago,
    as_data,
    plural,
    write,
)
from toril.engine.flow_stuck import StuckFlow
from toril.engine.flow_tree import FlowNode, progress_of
from toril.engine.info import JobInfo
from toril.engine.states import State

WAITING = (
    Column("QUEUE", cut=True),
    Column("ID", cut=True),
    Column("NAME", cut=True),
    Column("ADDED", right=True),
)
STUCK = (
    Column("QUEUE", cut=True),
    Column("ID", cut=True),
    Column("NAME", cut=True),
    Column("WHY", wrap=True),
)


@click.group(cls=SuggestingGroup, invoke_without_command=True)
@click.pass_context
def flows(ctx: click.Context) -> None:
    """List flows that wait or are stuck; show one as a tree."""
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


@flows.command("list")
@click.option("--queue", metavar="QUEUE", help="Only flows whose root is in this queue.")
@click.option("--stuck", is_flag=True, help="Only parents that can never go on by themselves.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@store_options
def list_flows(queue: str | None, stuck: bool, limit: int, url: str | None, as_json: bool) -> None:
    """List flows whose root waits for its children, longest first in each queue.

    With --stuck: parents that wait in vain, and why.
    """
    output = Output(as_json=as_json)
    if stuck:
        found = ask(url, lambda app: app.flows.stuck(queue))[:limit]
        if as_json:
            output.document({"stuck": as_data(found)})
        elif found:
            output.table(STUCK, [_stuck_row(one) for one in found])
        else:
            output.say("No flow is stuck.")
        return
    waiting = ask(url, lambda app: app.flows.waiting(queue, limit=limit))
    if as_json:
        output.document({"flows": [_facts(one) for one in waiting]})
    elif waiting:
        output.table(WAITING, [_row(one) for one in waiting])
    else:
        output.say("No flow waits for its children.")


@flows.command("show")
@click.argument("queue")
@click.argument("job_id", metavar="ID")
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True)
@store_options
def show(queue: str, job_id: str, limit: int, url: str | None, as_json: bool) -> None:
    """Show the flow below the job ID of QUEUE as a tree, with what became of each job."""

    async def act(app: App) -> FlowNode:
        return await app.flows.get(queue, job_id).tree(max_nodes=limit)

    root = ask(url, act)
    progress = progress_of(root)
    output = Output(as_json=as_json)
    if as_json:
        output.document({"progress": as_data(progress), "nodes": _nodes(root)})
        return
    ended = f"{progress.completed + progress.failed} of {plural(progress.total, 'job')} ended"
    more = [
        f"{many:,} {word}"
        for many, word in ((progress.failed, "failed"), (progress.active, "running"))
        if many
    ]
    output.say([Cell(root.name or "-", HEAD), f"  {queue} {job_id}  ", ", ".join([ended, *more])])
    _draw(output, root)
    if progress.cut:
        output.say("More jobs than are shown here: add --limit.", WARN)


def _draw(output: Output, root: FlowNode) -> None:
    todo: list[tuple[FlowNode, str, str]] = [(root, "", "")]
    while todo:
        node, lead, below = todo.pop()
        state = "gone" if node.state is None else str(node.state)
        style = STYLES.get(node.state, "") if node.state is not None else DIM
        parts = [lead, node.name or "(gone)", f"  {node.queue} {node.id}  ", Cell(state, style)]
        if node.failed_reason and node.state is not State.COMPLETED:
            parts.append(Cell(f"  {node.failed_reason}", BAD))
        if node.cut:
            parts.append(Cell("  (has more children)", DIM))
        if node.fate == "ignored":
            parts.append(Cell("  (its parent goes on without it)", DIM))
        output.say(parts)
        last = len(node.children) - 1
        todo += reversed(
            [
                (
                    child,
                    below + ("`- " if index == last else "|- "),
                    below + ("   " if index == last else "|  "),
                )
                for index, child in enumerate(node.children)
            ]
        )


def _nodes(root: FlowNode) -> list[dict[str, Any]]:
    """Return a tree as JSON data: each job before its children, with its parent's queue and id."""
    above: dict[int, FlowNode] = {
        id(child): node for node in root.nodes() for child in node.children
    }
    return [
        {
            "queue": node.queue,
            "id": node.id,
            "key": node.key,
            "parent": None if node is root else [above[id(node)].queue, above[id(node)].id],
            "name": node.name,
            "state": node.state,
            "fate": node.fate,
            "result": node.result,
            "failed_reason": node.failed_reason,
            "cut": node.cut,
        }
        for node in root.nodes()
    ]


def _row(info: JobInfo) -> list[str]:
    return [info.queue, info.id, info.name, f"{ago(info.created_at)} ago"]


def _facts(info: JobInfo) -> dict[str, object]:
    return {
        "queue": info.queue,
        "id": info.id,
        "name": info.name,
        "created_at": info.created_at,
    }


def _stuck_row(one: StuckFlow) -> list[str]:
    return [one.queue, one.job_id, one.name, one.text]
