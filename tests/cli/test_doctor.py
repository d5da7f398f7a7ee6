"""`toril doctor` and `toril workers`: what they find."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from tests.cli.support import Terminal

from toril.cli.codes import DONE, ERROR
from toril.engine.contract.lifecycle import Finding, Health


def test_doctor_of_a_healthy_store(terminal: Terminal) -> None:
    terminal.ask(lambda app: app.queues())

    words = terminal.run("doctor")
    document = terminal.here("doctor", "--json").json

    assert words.code == DONE
    assert words.out.endswith("All is well.\n")
    assert all(line[0] in "✓!" for line in words.out.splitlines()[:-1])
    assert document["ok"] is True
    assert {"subject": "integrity", "grade": "ok", "text": "the file is whole"} in document[
        "findings"
    ]


def test_doctor_warns_of_a_queue_that_nobody_serves(terminal: Terminal) -> None:
    terminal.add("mial", "send")

    result = terminal.here("doctor")

    assert result.code == DONE
    assert "! queue mial: jobs in line: 1" in result.out
    assert result.out.endswith("0 errors, 1 warning.\n")


def test_doctor_ends_with_1_when_something_is_wrong(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def damaged(app: Any) -> Health:
        app.backend()
        return Health([Finding("integrity", "error", "3 problems")])

    terminal.add("mail", "send")
    monkeypatch.setattr("toril.app.App.check", damaged)

    result = terminal.here("doctor")

    assert result.code == ERROR
    assert "✗ integrity: 3 problems" in result.out
    assert terminal.here("doctor", "--json").json["ok"] is False


def test_workers_are_listed_while_they_are_alive(terminal: Terminal) -> None:
    worker = terminal.worker("--concurrency", "3")

    table = terminal.run("workers").out
    (found,) = terminal.here("workers", "--json").json["workers"]

    assert table.splitlines()[0].split() == [
        "WORKER", "PID", "STATE", "BUSY", "QUEUES", "UP", "SEEN", "MEMORY",
    ]  # fmt: skip
    assert "0/3" in table
    assert found["pid"] == worker.pid
    assert found["queues"] == ["mail", "slow"]
    assert found["state"] == "working"
    assert found["beat_age_s"] >= 0
    assert found["started_at"].endswith("Z")
    worker.tell(signal.SIGTERM)
    assert worker.ends() == DONE
    assert "No worker is alive" in terminal.here("workers").out
