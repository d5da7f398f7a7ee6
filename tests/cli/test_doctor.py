"""`toril doctor` and `toril workers`: what they find, and what the first one mends."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from tests.cli.screen import Screen
from tests.cli.support import Terminal
from tests.support.contract import HandWorker, job
from tests.support.redis_servers import SOFTWARE, RedisServer, Software

from toril import App
from toril.cli.codes import DONE, ERROR, INTERRUPTED, USAGE
from toril.engine.contract.lifecycle import Finding, Health

ACT = "mail: put back in line 1 job whose lease has ended (1)"


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


def test_doctor_names_a_variable_that_looks_like_a_setting(terminal: Terminal) -> None:
    terminal.add("mail", "send")

    result = terminal.run("doctor", TORIL_CONCURENCY="5")

    assert result.code == DONE
    said = "! environment: TORIL_CONCURENCY is ignored: did you mean TORIL_CONCURRENCY?"
    assert said in result.out


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


def lose_a_worker(terminal: Terminal) -> str:
    """Leave a job that runs under a lease which has ended; return its id."""
    job_id = terminal.add("mail", "send", {"to": "jo"})

    async def claim(app: App) -> None:
        await HandWorker(app.backend(), lease_ms=1).claim_one("mail")

    terminal.ask(claim)
    return job_id


def test_doctor_names_what_mends(terminal: Terminal) -> None:
    job_id = lose_a_worker(terminal)

    words = terminal.here("doctor")
    document = terminal.here("doctor", "--json").json

    assert words.code == DONE
    assert "! leases: jobs whose lease has ended: 1" in words.out
    assert "toril doctor --repair" in words.out
    assert document["repairs"] == [
        {"queue": "mail", "act": "take_back", "job_ids": ["1"], "state": None, "text": ACT}
    ]
    assert document["repaired"] is None
    assert terminal.state("mail", job_id) == "active"


def test_repair_without_a_yes_shows_what_it_would_do(terminal: Terminal) -> None:
    job_id = lose_a_worker(terminal)

    words = terminal.run("doctor", "--repair")
    data = terminal.run("doctor", "--repair", "--json")

    assert (words.code, data.code) == (USAGE, USAGE)
    assert words.out.endswith(f"A repair would:\n  {ACT}\n")
    assert "Do 1 repair? Nothing was changed so far. Nobody can be asked here: give --yes." in (
        words.err
    )
    assert [act["text"] for act in data.json["repairs"]] == [ACT]
    assert data.json["repaired"] is None
    assert ACT in data.err
    assert terminal.state("mail", job_id) == "active"


def test_repair_mends_and_looks_again(terminal: Terminal) -> None:
    job_id = lose_a_worker(terminal)

    result = terminal.run("doctor", "--repair", "--yes")

    assert result.code == DONE
    shown, done = result.out.split("A repair would:")
    assert "! leases" in shown
    assert done.startswith(f"\n  {ACT}\n\nDone:\n✓ {ACT}\n\nA second look:\n")
    assert "leases" not in done.partition("A second look:")[2]
    assert terminal.state("mail", job_id) == "wait"
    again = terminal.here("doctor", "--repair")
    assert again.code == DONE
    assert again.out.endswith("There is nothing to repair.\n")


def test_repair_tells_in_json_what_it_did(terminal: Terminal) -> None:
    job_id = lose_a_worker(terminal)

    done = terminal.here("doctor", "--repair", "--yes", "--json")
    again = terminal.here("doctor", "--repair", "--yes", "--json")

    assert (done.code, done.err) == (DONE, "")
    assert done.json["repaired"] == done.json["repairs"]
    assert done.json["ok"] is True
    subjects = {finding["subject"]: finding["grade"] for finding in done.json["findings"]}
    assert subjects["leases"] == "ok"
    assert (again.json["repairs"], again.json["repaired"]) == ([], None)
    assert terminal.state("mail", job_id) == "wait"


def test_repair_asks_first(terminal: Terminal) -> None:
    job_id = lose_a_worker(terminal)

    for answer, code, state in (("n", INTERRUPTED, "active"), ("y", DONE, "wait")):
        with Screen(terminal, "doctor", "--repair") as screen:
            screen.shows("[y/N]")
            assert ACT in screen.text
            assert terminal.state("mail", job_id) == "active"
            screen.types(f"{answer}\n")
            assert screen.ends() == code
        assert terminal.state("mail", job_id) == state


def test_yes_without_a_repair_is_refused(terminal: Terminal) -> None:
    terminal.add("mail", "send")

    result = terminal.here("doctor", "--yes")

    assert result.code == USAGE
    assert "--yes belongs to --repair" in result.err


def test_repair_ends_with_1_while_something_is_wrong(
    terminal: Terminal, redis_server: RedisServer, redis_prefix: str, redis_url: str
) -> None:
    async def fill(app: App) -> None:
        await app.backend().jobs.add([job("mail"), job("old")])

    terminal.url = redis_url
    terminal.ask(fill)
    redis_server.command("DEL", f"{redis_prefix}:mail:wait")
    redis_server.command("RENAME", f"{redis_prefix}:old:wait", f"{redis_prefix}:old:paused")

    found = terminal.here("doctor", "--url", redis_url)
    mended = terminal.here("doctor", "--url", redis_url, "--repair", "--yes")
    terminal.here("resume", "old", "--url", redis_url)
    after = terminal.here("doctor", "--url", redis_url)

    assert (found.code, mended.code, after.code) == (ERROR, ERROR, DONE)
    assert "✗ strays of mail: jobs in no state" in found.out
    assert "✓ mail: put into wait 1 job that is in no state (1)" in mended.out
    second_look = mended.out.partition("A second look:")[2]
    assert "✗ version of old" in second_look
    assert "strays" not in second_look


@pytest.mark.parametrize("software", SOFTWARE)
def test_server_is_called_by_its_name(
    terminal: Terminal, software: Software, redis_server: RedisServer, redis_url: str
) -> None:
    information = dict(
        line.split(":", 1) for line in redis_server.command("INFO", "server").splitlines()[1:]
    )

    found = terminal.here("doctor", "--url", redis_url)

    assert f"{software.title()} {information[f'{software}_version']}" in found.out


def test_workers_are_listed_while_they_are_alive(terminal: Terminal) -> None:
    worker = terminal.worker("--concurrency", "3")

    table = terminal.run("workers").out
    (found,) = terminal.here("workers", "--json").json["workers"]

    assert table.splitlines()[0].split() == [
        "WORKER", "PID", "STATE", "BUSY", "QUEUES", "TASKS", "UP", "SEEN", "MEMORY",
    ]  # fmt: skip
    assert "0/3" in table
    assert found["pid"] == worker.pid
    assert found["queues"] == ["mail", "slow"]
    assert found["state"] == "working"
    assert found["tasks"] == {"mail": ["send", "broken"], "slow": ["hold"]}
    assert found["beat_age_s"] >= 0
    assert found["started_at"].endswith("Z")
    worker.tell(signal.SIGTERM)
    assert worker.ends() == DONE
    assert "No worker is alive" in terminal.here("workers").out


def test_doctor_warns_of_priorities_that_run_the_wrong_way_round(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.ask(lambda app: app.queues())
    assert "priorities" not in terminal.here("doctor").out
    monkeypatch.setenv("QUEUE_PRIORITY_WIRE", "raw")

    result = terminal.here("doctor")

    assert result.code == DONE
    assert "! priorities: QUEUE_PRIORITY_WIRE=raw" in result.out
    assert "the most urgent jobs run last" in result.out
