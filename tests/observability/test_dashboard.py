"""The dashboard for Grafana: what it asks for is told, and its panels stand side by side."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from toril.testing import MemoryApp

FILE = Path(__file__).parents[2] / "docs" / "operate" / "grafana.json"
NAME = re.compile(r"\b(?:toril|bullmq)_\w+")


@pytest.fixture
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return found


def queries(dashboard: dict[str, Any]) -> list[str]:
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return asked + [
        one["definition"] for one in dashboard["templating"]["list"] if one["type"] == "query"
    ]


async def test_every_metric_that_it_asks_for_is_told(dashboard: dict[str, Any]) -> None:
    async with MemoryApp() as app:

        @app.task(queue="mail", dead_letter="graveyard")
        async def send() -> None: ...

        await send.enqueue()
        await app.queue("graveyard").pause()
        await app.schedules.put("often", send, every=timedelta(hours=1))
        await app.run_until_idle()
        text = await app.prometheus()
    told: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            told.setdefault(sample.name, set()).update(sample.labels)

    for query in queries(dashboard):
        for selected in re.finditer(r"((?:toril|bullmq)_\w+)(?:\{([^}]*)\})?", query):
            assert selected[1] in told, query
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selected[2] or ""))
            assert labels <= told[selected[1]], query
    assert len(queries(dashboard)) > 20


def test_panels_have_what_grafana_needs_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["type"] in ("row", "stat", "timeseries")
        assert panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            references = [target["refId"] for target in panel["targets"]]
            assert len(set(references)) == len(references) > 0
            assert panel["datasource"]["uid"] == "${datasource}"
    assert {"title", "uid", "schemaVersion", "templating", "time"} <= dashboard.keys()


def test_what_several_processes_tell_of_one_store_counts_once(dashboard: dict[str, Any]) -> None:
    once = re.compile(r"max without \(instance, pod\) \((?:(?:rate|increase)\()?$")
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            for selected in NAME.finditer(target["expr"]):
                assert once.search(target["expr"][: selected.start()]), target["expr"]


def test_parentheses_of_queries_are_closed(dashboard: dict[str, Any]) -> None:
    for query in queries(dashboard):
        for begin, end in ("()", "{}", "[]"):
            assert query.count(begin) == query.count(end), query
    assert NAME.search(queries(dashboard)[0])
