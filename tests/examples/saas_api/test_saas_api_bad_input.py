"""What the door of the SaaS API refuses, and what becomes of the same from another program."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from tests.examples.saas_api.conftest import Shared
from tests.examples.saas_api.saas import OPERATOR, System

from toril import App, JobOptions

pytestmark = pytest.mark.timeout(600)
MAIL = {"to": "user@example.com", "subject": "S", "template": "test"}
FILE = {"filePath": "a.png", "operation": "compress"}
CLEAN = {"targetType": "temp_files", "olderThan": 1}
EXPORT = {"exportType": "csv", "filters": {}}
WARM = {"cacheKey": "PREFIX", "dataSource": "stats"}
BAD: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "no to": ("EMAIL_SEND", {"subject": "S", "template": "test"}, "data.to", "to"),
    "to is none": ("EMAIL_SEND", {**MAIL, "to": "x"}, "data.to", "to"),
    "attachment outside": (
        "EMAIL_SEND",
        {**MAIL, "attachments": [{"filename": "a", "path": "../a"}]},
        "data.attachments",
        "..",
    ),
    "attachment by a link": (
        "EMAIL_SEND",
        {**MAIL, "attachments": [{"filename": "a", "path": "link.png"}]},
        "data.attachments",
        "link",
    ),
    "attachment without a name": (
        "EMAIL_SEND",
        {**MAIL, "attachments": [{"path": "a.txt"}]},
        "data.attachments[0].filename",
        "filename",
    ),
    "no seconds": ("CACHE_WARM", {**WARM, "ttl": 0}, "data.ttl", ">= 1"),
    "too many seconds": ("CACHE_WARM", {**WARM, "ttl": 1e9}, "data.ttl", "max_ttl_s"),
    "quality": ("FILE_PROCESS", {**FILE, "options": {"quality": 101}}, "data.options", "<= 1"),
    "fit": (
        "FILE_PROCESS",
        {"filePath": "a.png", "operation": "resize", "options": {"width": 1, "fit": "squeeze"}},
        "data.options",
        "squeeze",
    ),
    "export type": ("DATA_EXPORT", {**EXPORT, "exportType": "pdf"}, "data.exportType", "pdf"),
    "pattern": ("CLEANUP", {**CLEAN, "pattern": "../*"}, "data.pattern", "name"),
    "target": ("CLEANUP", {**CLEAN, "targetType": "disk"}, "data.targetType", "disk"),
    "above the root": ("FILE_PROCESS", {**FILE, "filePath": "../../secret"}, "data.filePath", ".."),
    "absolute": ("FILE_PROCESS", {**FILE, "filePath": "/etc/hosts"}, "data.filePath", "inside"),
    "link": ("FILE_PROCESS", {**FILE, "filePath": "link.png"}, "data.filePath", "link"),
    "NUL": ("FILE_PROCESS", {**FILE, "filePath": "a\0b"}, "data.filePath", "inside"),
    "cleanup above": ("CLEANUP", {**CLEAN, "path": "../logs"}, "data.path", "'..'"),
    "cleanup elsewhere": ("CLEANUP", {**CLEAN, "path": "/etc"}, "data.path", "inside"),
    "negative age": ("CLEANUP", {**CLEAN, "olderThan": -1}, "data.olderThan", ">= 0"),
    "operation": ("FILE_PROCESS", {**FILE, "operation": "explode"}, "data.operation", "explode"),
    "no picture": (
        "FILE_PROCESS",
        {"filePath": "a.txt", "operation": "convert", "options": {"format": "png"}},
        "data.filePath",
        "expected an image",
    ),
    "option": ("FILE_PROCESS", {**FILE, "options": {"qualty": 1}}, "data.options", "'quality'"),
    "column": ("DATA_EXPORT", {**EXPORT, "columns": ["nme"]}, "data.columns", "known are body"),
    "filter": ("DATA_EXPORT", {**EXPORT, "filters": {"nme": 1}}, "data.filters", "unknown column"),
    "source": (
        "DATA_EXPORT", {**EXPORT, "filters": {"source": "x"}}, "data.filters.source", "are default"
    ),
    "cache key": ("CACHE_WARM", {**WARM, "cacheKey": "bull:jobs:1"}, "data.cacheKey", "begin with"),
    "private address": (
        "CACHE_WARM", {**WARM, "dataSource": "http://10.0.0.1/a"}, "data.dataSource", "private"
    ),
    "own machine": (
        "CACHE_WARM", {**WARM, "dataSource": "http://[::1]:80/"}, "data.dataSource", "loopback"
    ),
    "notice of no type": (
        "USER_NOTIFICATION",
        {"userId": "u", "title": "T", "body": "B", "type": "loud"},
        "data.type",
        "loud",
    ),
}  # fmt: skip


def put_files(system: System) -> None:
    (system.files / "a.txt").write_text("text")
    (system.folder / "secret").write_text("the secret")
    with suppress(FileExistsError):
        (system.files / "link.png").symlink_to(system.folder / "secret")


def placed(data: dict[str, Any], shared: Shared) -> dict[str, Any]:
    return {
        name: f"{shared.cache}a" if value == "PREFIX" else value for name, value in data.items()
    }


async def refused(system: System, body: Any) -> tuple[int, dict[str, Any]]:
    answer = await system.ask("POST", "/api/queue/jobs", body)
    return answer.status_code, answer.json()["error"]


async def test_door_refuses_and_names_the_field(system: System, shared: Shared) -> None:
    put_files(system)

    found = {}
    for case, (kind, data, _, _) in BAD.items():
        found[case] = await refused(system, {"type": kind, "data": placed(data, shared)})

    for case, (_, _, field, said) in BAD.items():
        status, error = found[case]
        assert (case, status, error["field"]) == (case, 422, field)
        assert said in error["message"], case


async def test_same_from_another_program_fails_once_with_the_reason(
    system: System, shared: Shared
) -> None:
    put_files(system)
    async with App(system.store) as outside:
        queue = outside.queue("jobs")
        options = JobOptions(max_attempts=3, backoff_s=0.0)
        ids = {
            case: (await queue.add(kind, {**placed(data, shared), "tenantId": "acme"}, options)).id
            for case, (kind, data, _, _) in BAD.items()
        }
        unknown = (await queue.add("VIDEO", {"tenantId": "acme"}, options)).id

    for case, job_id in ids.items():
        job = await system.ended(job_id)
        assert (case, job["state"], job["attemptsMade"]) == (case, "failed", 1)
        assert BAD[case][3] in job["failedReason"], case
        assert "the secret" not in job["failedReason"]
    job = await system.ended(unknown)
    assert (job["state"], job["attemptsMade"]) == ("failed", 1)
    assert job["failedReason"].startswith("Unknown job type: VIDEO")
    assert job["data"] == {"tenantId": "acme"}


async def test_unknown_type_lists_the_six(system: System) -> None:

    status, error = await refused(system, {"type": "VIDEO", "data": {}})

    assert (status, error["field"]) == (422, "type")
    for kind in ("EMAIL_SEND", "USER_NOTIFICATION", "DATA_EXPORT", "FILE_PROCESS", "CACHE_WARM"):
        assert kind in error["message"]
    assert "CLEANUP" in error["message"]


async def test_options_out_of_range_are_refused_with_it(system: System) -> None:

    for name, value, said in (
        ("priority", 0, "1 to 20"),
        ("priority", 21, "1 to 20"),
        ("priority", "high", "1 to 20"),
        ("priority", 5.5, "1 to 20"),
        ("priority", True, "1 to 20"),
        ("delay", -1, "milliseconds"),
        ("attempts", 0, "from 1"),
        ("jobId", "", "jobId"),
        ("jobId", "12", "integer"),
        ("jobId", "a:b", "':'"),
        ("removeOnComplete", -1, "true, false"),
        ("backoff", {"type": "linear", "delay": 1}, "fixed or exponential"),
        ("prioriti", 1, "'priority'"),
    ):
        body = {"type": "EMAIL_SEND", "data": MAIL, "options": {name: value}}
        status, error = await refused(system, body)
        assert (name, value, status, error["field"]) == (name, value, 422, f"options.{name}")
        assert said in error["message"]


async def test_bodies_that_are_none_are_refused(system: System) -> None:
    deep = "[" * 100_000
    nested = '{"type": "EMAIL_SEND", "data": ' + '{"a":' * 200 + "1" + "}" * 200 + "}"
    large = json.dumps({"type": "EMAIL_SEND", "data": {**MAIL, "subject": "x" * 1_048_576}})

    for content, expected in (
        ("nonsense", 400),
        ("\xff", 400),
        (deep, 400),
        (nested, 400),
        (large, 413),
        ("[]", 422),
        ("{}", 422),
        ('{"type": "EMAIL_SEND"}', 422),
        ('{"type": "EMAIL_SEND", "data": {}, "dta": 1}', 422),
    ):
        answer = await system.ask("POST", "/api/queue/jobs", content=content.encode("latin-1"))
        assert (content[:20], answer.status_code) == (content[:20], expected)
        assert set(answer.json()["error"]) >= {"code", "message"}


async def test_jobs_that_never_were_are_not_found(system: System) -> None:

    for method in ("GET", "DELETE"):
        answer = await system.ask(method, "/api/queue/jobs/never", key=OPERATOR)
        assert answer.status_code == 404
        assert "no longer kept" in answer.json()["error"]["message"]


async def test_unknown_field_is_refused_with_the_nearest_and_kept_from_the_store(
    system: System,
) -> None:
    data = {**MAIL, "tempalte": "test"}

    status, error = await refused(system, {"type": "EMAIL_SEND", "data": data})
    async with App(system.store) as outside:
        job = await outside.queue("jobs").add("EMAIL_SEND", {**data, "tenantId": "acme"})
    stored = await system.ended(job.id)

    assert (status, error["field"]) == (422, "data.tempalte")
    assert "did you mean 'template'" in error["message"]
    assert stored["state"] == "completed", stored["failedReason"]
    kept = {name: stored["data"][name] for name in data}
    assert kept == data
