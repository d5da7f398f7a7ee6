"""`toril flows`: what waits, what is stuck and why, and one flow as a tree."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.cli.support import Terminal

from toril import App, Flow, Node, Settings
from toril.cli.codes import DONE, STATE, USAGE


def plant(terminal: Terminal) -> str:
    """Add a flow of four jobs, of which one has failed for good; return the root's id."""

    async def add() -> str:
        async with App(terminal.url, settings=Settings()) as app:
            flow: Flow[Any] = await app.flows.add(
                Node(
                    "courses",
                    "build",
                    children=[
                        Node("video", "encode", {"v": 1}, children=[Node("video", "fetch")]),
                        Node("pdf", "render"),
                    ],
                )
            )
            tree = await flow.tree()
            rendered = next(node for node in tree.nodes() if node.name == "render")
            await app.queue("pdf").job(rendered.id).cancel("no paper")
            return flow.id

    return asyncio.run(add())


def test_list_shows_roots_that_wait(terminal: Terminal) -> None:
    root = plant(terminal)

    head, *rows = terminal.run("flows", "list").out.splitlines()

    assert head.split() == ["QUEUE", "ID", "NAME", "ADDED"]
    assert [row.split()[0] for row in rows] == ["courses"]
    (found,) = terminal.run("flows", "list", "--json").json["flows"]
    assert (found["queue"], found["id"], found["name"]) == ("courses", root, "build")
    assert (
        terminal.run("flows", "list", "--queue", "pdf").out == "No flow waits for its children.\n"
    )


def test_list_says_what_is_stuck_and_why(terminal: Terminal) -> None:
    root = plant(terminal)

    stuck = terminal.run("flows", "list", "--stuck", "--json").json["stuck"]

    assert {(one["queue"], one["reason"]) for one in stuck} == {
        ("courses", "child_failed"),
        ("video", "no_worker"),
    }
    assert "no paper" in terminal.run("flows", "list", "--stuck").out
    told = terminal.here("doctor", "--url", terminal.url)
    assert f"flow courses {root}" in told.out
    assert "it has failed for good (no paper)" in " ".join(told.out.split())


def test_nothing_waits_and_nothing_is_stuck(terminal: Terminal) -> None:
    terminal.add("mail", "send")

    assert terminal.run("flows", "list").out == "No flow waits for its children.\n"
    assert terminal.run("flows", "list", "--stuck").out == "No flow is stuck.\n"


def test_show_draws_the_tree(terminal: Terminal) -> None:
    root = plant(terminal)

    title, *lines = terminal.run("flows", "show", "courses", root).out.splitlines()

    assert title == f"build  courses {root}  1 of 4 jobs ended, 1 failed"
    assert [line.lstrip("|`- ").split()[0] for line in lines] == [
        "build",
        "encode",
        "fetch",
        "render",
    ]
    assert lines[2].startswith("|  `- fetch  video ")
    assert lines[3].endswith("failed  no paper")


def test_show_as_json_names_each_parent(terminal: Terminal) -> None:
    root = plant(terminal)

    document = terminal.run("flows", "show", "courses", root, "--json").json

    assert document["progress"]["total"] == 4
    by_name = {node["name"]: node for node in document["nodes"]}
    assert by_name["build"]["parent"] is None
    assert by_name["fetch"]["parent"] == ["video", by_name["encode"]["id"]]
    assert by_name["render"]["state"] == "failed"
    assert json.dumps(document)


def test_show_is_bounded(terminal: Terminal) -> None:
    root = plant(terminal)

    shown = terminal.run("flows", "show", "courses", root, "--limit", "2").out

    assert "(has more children)" in shown
    assert shown.endswith("More jobs than are shown here: add --limit.\n")


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["show", "courses", "nope"], STATE, "queue 'courses' has no job 'nope'"),
        (["show", "a:b", "x"], USAGE, "queue='a:b'"),
        (["list", "--limit", "0"], USAGE, "0 is not in the range"),
        (["lst"], USAGE, "did you mean 'list'"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    terminal: Terminal, words: list[str], code: int, why: str
) -> None:
    terminal.add("courses", "send")

    refused = terminal.here("flows", *words, *(["--url", terminal.url] if len(words) > 1 else []))

    assert refused.code == code, refused
    assert why in refused.err
    assert refused.err.count("\n") == 1


def test_flows_alone_says_what_there_is(terminal: Terminal) -> None:
    shown = terminal.here("flows")

    assert shown.code == DONE
    assert "list" in shown.out
