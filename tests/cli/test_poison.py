"""Every command that shows jobs, on stores in which lies what nobody can mean."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from tests.cli.support import Result, Terminal
from tests.support.poison import DEEP, FAR_MS, LONG_NUMBER, TEXTS, poisonous
from tests.support.redis_servers import RedisServer

from toril import App
from toril.cli.codes import DONE
from toril.engine.job import Added

Say = Callable[..., Result]

FIELDS = {
    "data": [*TEXTS.values(), DEEP],
    "opts": ["{", DEEP, "[]", '{"attempts":{"a":1},"de":{"id":[]}}'],
    "timestamp": ["1.7e18", "-5", "NaN", "inf", "x", "", LONG_NUMBER, "1750000000000.5"],
    "delay": ["1e15", "NaN", "-1", "x", LONG_NUMBER],
    "priority": ["x", "-1", "1e300"],
    "atm": ["x", "-1", LONG_NUMBER],
    "ats": ["x", "1e300"],
    "stc": ["x", LONG_NUMBER],
    "processedOn": ["x", LONG_NUMBER, "NaN"],
    "finishedOn": ["x", LONG_NUMBER, "-1e300"],
    "progress": [DEEP, "{", "x"],
    "returnvalue": [DEEP, "{"],
    "failedReason": ["x"],
    "stacktrace": [DEEP, "{", "7", '["a",7]'],
    "toril:history": ["x", '5 {"number":"x"}', f'5 {DEEP}\n{LONG_NUMBER} {{"number":1}}'],
}
"""Values of a job's fields on Redis, one bad field a job."""


@pytest.fixture(params=["sqlite", "redis"])
def say(request: pytest.FixtureRequest, terminal: Terminal) -> Say:
    """Run a command on a store that has been poisoned, which must not fail."""
    if request.param == "redis":
        terminal.url = request.getfixturevalue("redis_url")

    async def poison(app: App) -> list[Added]:
        return await app.backend().jobs.add(poisonous("mail"))

    terminal.ask(poison)
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        spoil_fields(server, f"{request.getfixturevalue('redis_prefix')}:mail")

    def run(*words: str, url: bool = True) -> Result:
        done = terminal.here(*words, *(["--url", terminal.url] if url else []))
        assert done.code == DONE, f"{words}: {done.err}"
        return done

    return run


def spoil_fields(server: RedisServer, base: str) -> None:
    """Put jobs with one bad field each in every state."""
    for field, values in FIELDS.items():
        for index, value in enumerate(values):
            job_id = f"{field}-{index}"
            plain = {"name": "x", "data": "{}", "opts": "{}", "timestamp": "1"} | {field: value}
            words = [word for pair in plain.items() for word in pair]
            server.command("HSET", f"{base}:{job_id}", *words)
            state = ("completed", "failed", "delayed", "wait")[index % 4]
            if state == "wait":
                server.command("LPUSH", f"{base}:wait", job_id)
            else:
                server.command("ZADD", f"{base}:{state}", "1", job_id)
    for job_id, score in (("never", "inf"), ("before", "-inf"), ("far", "1e300")):
        server.command("HSET", f"{base}:{job_id}", "name", "x", "data", "{}", "timestamp", "1")
        server.command("ZADD", f"{base}:delayed", score, job_id)


def test_jobs_are_listed_and_shown_and_removed(say: Say, terminal: Terminal) -> None:
    """One job with a far moment or deep JSON made every command about its queue end in an error."""
    listed = json.loads(say("jobs", "list", "mail", "--limit", "1000", "--json").out)["jobs"]
    table = say("jobs", "list", "mail", "--limit", "1000").out

    assert len(listed) > 20
    assert len(table.splitlines()) == len(listed) + 1
    for each in listed:
        shown = say("jobs", "show", "mail", each["id"])
        as_json = say("jobs", "show", "mail", each["id"], "--json")
        assert json.loads(as_json.out)["id"] == each["id"]
        assert shown.out
        say("jobs", "logs", "mail", each["id"])
    assert DEEP[:100] in say("jobs", "show", "mail", "8").out
    assert json.loads(say("jobs", "show", "mail", "8", "--json").out)["data"] == {"raw": DEEP}
    say("jobs", "remove", "mail", *(each["id"] for each in listed))
    assert json.loads(say("jobs", "list", "mail", "--json").out)["jobs"] == []


@pytest.mark.parametrize(
    "words",
    [
        ["doctor"], ["queues"], ["queue", "mail"], ["metrics"], ["events", "mail"], ["workers"],
        ["clean", "mail", "--older-than", "1s", "--state", "delayed", "--yes"],
        ["jobs", "retry", "mail", "--all"], ["jobs", "promote", "mail", "--all"],
        ["drain", "mail", "--delayed", "--yes"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_other_commands_take_no_harm(say: Say, words: list[str]) -> None:
    say(*words)


def test_queue_moves_to_the_other_store_and_back(
    say: Say, terminal: Terminal, redis_server: RedisServer, redis_prefix: str
) -> None:
    other = f"sqlite:///{terminal.folder / 'other.db'}"
    if terminal.url.startswith("sqlite"):
        other = f"{redis_server.url}?prefix={redis_prefix}"
    before = json.loads(say("jobs", "list", "mail", "--limit", "1000", "--json").out)["jobs"]

    say("migrate", "--from", terminal.url, "--to", other, url=False)

    there = say("jobs", "list", "mail", "--limit", "1000", "--json", "--url", other, url=False)
    after = json.loads(there.out)["jobs"]
    assert {each["id"]: each["data"] for each in after} == {
        each["id"]: each["data"] for each in before
    }
    say("migrate", "--from", other, "--to", f"sqlite:///{terminal.folder / 'back.db'}", url=False)


def test_timestamp_far_ahead_is_shown_as_the_last_moment(say: Say) -> None:
    listed = json.loads(say("jobs", "list", "mail", "--limit", "1000", "--json").out)["jobs"]

    created = {each["created_at"] for each in listed}
    assert "9999-12-31T23:59:59.999000Z" in created, FAR_MS
