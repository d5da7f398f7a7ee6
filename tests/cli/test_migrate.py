"""Moving queues to another store from the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.support import Terminal
from tests.support.contract import card

from toril import App, JobOptions, Node
from toril.cli.codes import DONE, STATE, STORE, USAGE
from toril.engine.job import NewJob


def fill(terminal: Terminal) -> None:
    """Put jobs of several states into two queues."""
    for _ in range(3):
        terminal.add("mail", "send", {"to": "jo"})
    terminal.add("mail", "broken", {"to": "jo"})
    terminal.work_off()
    terminal.add("mail", "send", {"to": "jo"})
    terminal.add("mail", "send", {"to": "jo"}, priority=16)
    terminal.add("reports", "make", delay_s=3600)


def target_of(terminal: Terminal) -> str:
    return f"sqlite:///{terminal.folder / 'new.db'}"


def test_migrate_moves_and_says_what(terminal: Terminal) -> None:
    fill(terminal)
    to = target_of(terminal)

    result = terminal.run("migrate", "--from", terminal.url, "--to", to)

    assert (result.code, result.err) == (DONE, "")
    head, mail, reports, summary = result.out.splitlines()
    assert head.split() == [
        "QUEUE", "WAITING", "PRIO", "DELAYED", "CHILDREN", "FAILED", "DONE", "LEFT", "THEN",
    ]  # fmt: skip
    assert mail.split() == ["mail", "1", "1", "0", "0", "1", "3", "0", "goes", "on"]
    assert reports.split() == ["reports", "0", "0", "1", "0", "0", "0", "0", "goes", "on"]
    assert summary.startswith("7 jobs moved in ")
    assert "jobs/s), counted in both stores." in summary
    there = terminal.here("queues", "--url", to, "--json").json["queues"]
    assert [(each["name"], each["paused"]) for each in there] == [
        ("mail", False), ("reports", False),
    ]  # fmt: skip
    here = terminal.here("queues", "--json").json["queues"]
    assert [(each["waiting"], each["paused"]) for each in here] == [(0, True), (0, True)]


def test_migrate_says_it_as_json(terminal: Terminal) -> None:
    fill(terminal)
    to = target_of(terminal)

    words = ("migrate", "--from", terminal.url, "--to", to, "--queue", "mail", "--json")
    facts, again = terminal.here(*words).json, terminal.here(*words).json

    assert (facts["from"], facts["to"], facts["dry_run"]) == (terminal.url, to, False)
    assert (facts["moved"], facts["left"], again["moved"]) == (6, 0, 0)
    assert facts["jobs_per_s"] > 0
    (mail,) = facts["queues"]
    assert mail["moved"] == {
        "wait": 1, "prioritized": 1, "delayed": 0, "waiting-children": 0, "failed": 1,
            "completed": 3,
    }  # fmt: skip
    assert (mail["queue"], mail["paused"], mail["tied"], mail["taken"]) == ("mail", False, 0, 0)


def test_dry_run_changes_nothing(terminal: Terminal) -> None:
    fill(terminal)
    words = ("migrate", "--from", terminal.url, "--to", target_of(terminal), "--dry-run")
    before = terminal.here("queues", "--json").json

    table, document = terminal.here(*words), terminal.here(*words, "--json").json

    assert table.code == DONE
    assert table.out.splitlines()[1].split()[:7] == ["mail", "1", "1", "0", "0", "1", "3"]
    assert (
        table.out.splitlines()[-1] == f"7 jobs of {terminal.url} would move; nothing was changed."
    )
    assert (document["dry_run"], document["moved"], document["to"]) == (True, 7, None)
    assert not (terminal.folder / "new.db").exists()
    after = terminal.here("queues", "--json").json
    for queue in (*before["queues"], *after["queues"]):
        del queue["oldest_waiting_s"]
    assert after == before


def test_dry_run_tells_of_running_jobs(terminal: Terminal) -> None:
    terminal.worker()
    terminal.hold()

    result = terminal.here(
        "migrate", "--from", terminal.url, "--to", target_of(terminal), "--dry-run"
    )

    assert "slow has 1 running job: its workers have to be stopped first." in result.out


def test_migrate_refuses_a_queue_that_a_worker_serves(terminal: Terminal) -> None:
    fill(terminal)
    to = target_of(terminal)
    terminal.ask(lambda app: app.backend().workers.register(card("w-1", "mail")))

    refused = terminal.here("migrate", "--from", terminal.url, "--to", to)
    forced = terminal.here("migrate", "--from", terminal.url, "--to", to, "--force")

    assert refused.code == STATE
    assert "worker w-1" in refused.err
    assert "stop it first, or force" in refused.err
    assert forced.code == DONE


def test_jobs_that_stay_are_told_and_no_success(terminal: Terminal) -> None:
    taken = '"another"'

    async def prepare(app: App) -> None:
        await app.backend().jobs.add(
            [
                NewJob(queue="mail", name="send", data="1", job_id="second"),
                NewJob(queue="mail", name="send", data="1"),
            ]
        )
        async with App(target_of(terminal)) as there:
            await there.backend().jobs.add(
                [NewJob(queue="mail", name="send", data=taken, job_id="second")]
            )

        parent = Node("mail", "parent", options=JobOptions(job_id="first"))
        await app.flows.add(parent.with_children([Node("other", "child")]))

    terminal.ask(prepare)

    words = ("migrate", "--queue", "mail", "--from", terminal.url, "--to", target_of(terminal))
    result = terminal.here(*words)

    assert result.code == STATE
    lines = result.out.splitlines()
    assert lines[1].split() == ["mail", "1", "0", "0", "0", "0", "0", "2", "goes", "on"]
    assert lines[2].startswith("mail: 1 job stayed, such as first, tied to a flow in queues")
    assert lines[3].startswith("mail: 1 job stayed, such as second, as the target has another")
    assert lines[4].startswith("1 job moved in")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--to", "new.db"), USAGE, "'--from'"),
        (("--from", "toril.db"), USAGE, "'--to'"),
        (("--from", "toril.db", "--to", "toril.db"), USAGE, "is the store that the jobs are in"),
        (("--from", "toril.db", "--to", "link.db"), USAGE, "is the store that the jobs are in"),
        (("--from", "none.db", "--to", "new.db"), STORE, "none.db"),
        (("--from", "toril.db", "--to", "x://y"), USAGE, "unknown scheme 'x'"),
        (("--from", "toril.db", "--to", "new.db", "--queue", "mial"), STATE, "mean 'mail'"),
    ],
)
def test_migrate_refuses_in_a_sentence(
    terminal: Terminal, words: tuple[str, ...], code: int, text: str
) -> None:
    terminal.add("mail", "send")
    Path("link.db").symlink_to("toril.db")

    result = terminal.here("migrate", *words)

    assert (result.code, result.out) == (code, "")
    assert text in result.err
    assert len(result.err.splitlines()) == 1
    assert terminal.here("queues", "--json").json["queues"][0]["paused"] is False


def test_store_without_queues_says_so(terminal: Terminal) -> None:
    terminal.ask(lambda app: app.queues())

    result = terminal.here("migrate", "--from", terminal.url, "--to", target_of(terminal))

    assert (result.code, result.out) == (DONE, f"{terminal.url} has no queues.\n")


def test_queues_go_to_redis_and_back(terminal: Terminal, redis_url: str) -> None:
    fill(terminal)
    back = target_of(terminal)
    before = terminal.here("jobs", "list", "mail", "--json").json

    there = terminal.here("migrate", "--from", terminal.url, "--to", redis_url)
    again = terminal.here("migrate", "--from", redis_url, "--to", back)

    assert (there.code, again.code) == (DONE, DONE)
    assert terminal.here("jobs", "list", "mail", "--url", back, "--json").json == before
