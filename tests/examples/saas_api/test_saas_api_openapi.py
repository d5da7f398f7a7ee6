"""The description of the SaaS API, checked by requests that are made of it."""

from __future__ import annotations

import ast
import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.examples.saas_api.saas import OPERATOR, ROOT, System

pytestmark = pytest.mark.timeout(600)
DOCUMENT = ROOT / "examples/saas_api/openapi.json"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance"
)


def test_document_has_every_route(system: System) -> None:
    program = (
        "import json; from examples.saas_api.routes import routes; print(json.dumps(["
        "[sorted(one.methods - {'HEAD'})[0], one.path] for one in routes.made()]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=system.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    described = {
        (method.upper(), path)
        for path, operations in json.loads(DOCUMENT.read_text())["paths"].items()
        for method in operations
        if method != "parameters"
    }
    assert described == {(method, path) for method, path in json.loads(run.stdout)}


async def test_answers_are_as_the_document_says(system: System, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).parent / "schemathesis"), "run", str(DOCUMENT)),
        *("--url", f"{system.url}/api", "--phases", "fuzzing", "--max-examples", "15"),
        *("--header", f"Authorization: Bearer {OPERATOR}", "--checks", CHECKS, "--seed", "17"),
        *("--suppress-health-check", "all", "--generation-database", "none", "--no-color"),
        *("--continue-on-failure", "--warnings", "off", "--request-timeout", "60"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()

    assert process.returncode == 0, said.decode()
    assert "10 passed" in said.decode() or "Tested: 10" in said.decode(), said.decode()


def test_example_stays_small_and_uses_what_is_public() -> None:
    """Lines of Python in all: with comments and docstrings, without blank ones."""
    lines = 0
    for path in sorted((ROOT / "examples/saas_api").rglob("*.py")):
        text = path.read_text("utf-8")
        lines += sum(bool(line.strip()) for line in text.splitlines())
        for node in ast.walk(ast.parse(text)):
            names: list[str] = []
            if isinstance(node, ast.Attribute):
                names = [node.attr]
            elif isinstance(node, ast.ImportFrom):
                names = [*(node.module or "").split("."), *(one.name for one in node.names)]
                assert not (node.module or "").startswith("toril.backends"), path.name
            private = [name for name in names if name.startswith("_") and name[:2] != "__"]
            assert not private, f"{path.name}: {private}"

    assert 0 < lines < 250
