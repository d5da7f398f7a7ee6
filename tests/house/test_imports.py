"""What `import toril` brings in: what it needs, and nothing that is heavy and optional."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LATE = (
    "PIL",
    "sqlalchemy",
    "rich",
    "click",
    "pytest",
    "redis",
    "pydantic",
    "hypothesis",
    "psutil",
    "uvloop",
    "watchfiles",
    "django",
    "asgiref",
)


def imported(what: str) -> set[str]:
    code = f"import json, sys; import {what}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("what", ["toril", "toril.testing", "toril.contrib.django"])
def test_what_is_optional_is_imported_late(what: str) -> None:
    assert imported(what) & set(LATE) == set()


def test_the_face_does_not_bring_in_other_doors() -> None:
    doors = ("toril.cli", "toril.contrib", "toril.library", "toril.services", "toril.testing")
    assert not [name for name in imported("toril") if name.startswith(doors)]


def test_the_face_stays_light() -> None:
    """Counted, not timed: a busy machine is no failure."""
    assert len(imported("toril") - imported("sys")) < 330


def test_records_bring_in_no_other_kind_of_database() -> None:
    found = imported("toril.services.notices.sql, toril.services.totals.sql")

    assert "sqlalchemy.dialects.postgresql" not in found


def test_an_app_brings_in_no_parts_of_a_worker() -> None:
    """Commands that look at a store have none, and start sooner."""
    parts = ("claims", "claim_holder", "executor", "fetcher", "leases", "worker")

    assert imported("toril.app") & {f"toril.engine.{part}" for part in parts} == set()
