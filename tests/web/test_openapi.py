"""The document says what the server does: every route, and every answer that it can give."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from tests.web.access.calling import control
from tests.web.support import Served, serve

from toril import App
from toril.rest.bodies import Fields, Query
from toril.web.routes import ROUTES
from toril.web.shapes import item_names

EXAMPLES = int(os.environ.get("TORIL_WEB_EXAMPLES", "4"))
"""Requests that are tried for each operation. `make fuzz-web` tries many."""


@pytest.fixture
async def document(served: Served) -> dict[str, Any]:
    found: dict[str, Any] = (await served.http.get(f"{served.url}/openapi.json")).json()
    return found


async def test_document_describes_every_route(document: dict[str, Any]) -> None:
    described = {
        operation["operationId"]: (method.upper(), path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }

    assert described == {route.name: (route.method, route.path) for route in ROUTES}
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"].endswith("."), operation["operationId"]


def test_fields_of_every_list_that_is_read_can_be_chosen() -> None:
    lists = [route for route in ROUTES if route.method == "GET" and item_names(route.answer)]

    assert len(lists) > 15
    assert [route.name for route in lists if not issubclass(route.query or Query, Fields)] == []


async def test_document_leads_nowhere_that_is_not_there(document: dict[str, Any]) -> None:
    for reference in re.findall(
        r'"\$ref":"#/([^"]+)"', json.dumps(document, separators=(",", ":"))
    ):
        found: Any = document
        for part in reference.split("/"):
            assert part in found, reference
            found = found[part]


async def test_document_says_what_fields_mean(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert (
        schemas["NewJobBody"]["properties"]["lifo"]["description"] == "Go to the front of the line."
    )
    assert "leaves letters" not in json.dumps(schemas["QueueInfo"])
    assert schemas["QueueInfo"]["properties"]["oldest_waiting_s"]["description"]


async def test_document_is_at_both_addresses(served: Served, document: dict[str, Any]) -> None:
    within = (await served.ask("GET", "/openapi.json")).json()

    assert within == document
    assert document["servers"] == [{"url": "/api/v1"}]


async def test_wrong_path_is_answered_with_one_that_is_there(served: Served) -> None:
    for wrong in ("/health", "/api/v1/nowhere"):
        refused = await served.http.get(f"{served.url}{wrong}")
        there = refused.json()["detail"].removeprefix("nothing here: see ")

        assert (refused.status_code, there) == (404, "/api/v1/openapi.json")
        assert (await served.http.get(f"{served.url}{there}")).status_code == 200


async def test_answers_are_as_the_document_says(
    app: App, served: Served, document: dict[str, Any]
) -> None:
    """A schema for each answer, checked by another library than the one that made it."""
    job = await app.queue("mail").add("send", {"to": "jo"})
    asked = {
        "/overview": "/overview",
        "/queues": "/queues",
        "/queues/{queue}": "/queues/mail",
        "/queues/{queue}/jobs": "/queues/mail/jobs",
        "/queues/{queue}/jobs/{job_id}": f"/queues/mail/jobs/{job.id}",
        "/queues/{queue}/jobs/{job_id}/explanation": f"/queues/mail/jobs/{job.id}/explanation",
        "/queues/{queue}/events": "/queues/mail/events",
        "/errors": "/errors",
        "/attention": "/attention",
        "/me": "/me",
    }
    for path, address in asked.items():
        answer = await served.ask("GET", address)
        schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        whole = {**schema["schema"], "components": document["components"]}
        jsonschema_rs.Draft202012Validator(whole).validate(answer.json())


CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,response_headers_conformance"
)
PLACES = """
[parameters]
"path.queue" = ["mail", "post", "none"]
"path.letters" = ["graves", "none"]
"path.job_id" = ["1", "2", "3", "none"]
"path.schedule_id" = ["nightly", "none"]
"path.operation_id" = ["OPERATION", "none"]
"path.name" = ["deploy", "none"]
"""
"""Where something is, so that not every request ends with 404."""


@pytest.mark.timeout(1800 if EXAMPLES > 10 else 300)
async def test_no_request_is_answered_otherwise_than_the_document_says(
    app: App, tmp_path: Path
) -> None:
    """Many requests that fit the document, and many that do not; `make fuzz-web` tries more."""
    for name in ("mail", "post"):
        await app.queue(name).add_many([("send", {"n": n}) for n in range(30)])
    await app.queue("mail").set_dead_letter("graves")
    await app.schedules.put("nightly", app.queue("mail"), {}, name="tidy", every=3600.0)
    removal = await app.bulk.remove(queue="post", ids=["1", "2"])
    await removal.run()
    access = control(app)
    key = await access.keys.add("fuzz", role="admin", payloads=True)
    await access.keys.add("deploy", role="viewer")
    (tmp_path / "schemathesis.toml").write_text(PLACES.replace("OPERATION", removal.id))

    async with serve(app, access=access) as served:
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).parent / "schemathesis"), "run"),
            *(f"{served.url}/openapi.json", "--phases", "fuzzing", "--max-examples", str(EXAMPLES)),
            *("--header", f"Authorization: Bearer {key}"),
            *("--checks", CHECKS, "--exclude-operation-id", "stream", "--seed", "17"),
            *("--suppress-health-check", "all", "--generation-database", "none", "--no-color"),
            *("--continue-on-failure", "--warnings", "off", "--request-timeout", "60"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()

    text = said.decode()
    assert process.returncode == 0, text
    tested = re.search(r"(\d+) operations? passed|Tested:\s+(\d+)|(\d+) passed", text)
    assert tested is not None, text
