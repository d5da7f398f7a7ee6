"""Text in a store comes from whoever can add jobs, and must not reach a terminal as it is.

Every text of a store is made hostile behind Toril's back; then every command looks at it, on a
terminal and into a pipe.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool
from tests.cli.prepared import Prepared
from tests.cli.screen import Screen
from tests.cli.support import Terminal
from tests.support.redis_server import RedisServer

import toril.cli
from toril.cli.codes import MEANINGS
from toril.cli.harmless import harmless_json, harmless_output, printable
from toril.cli.main import COMMANDS
from toril.outbox.table import create_outbox

HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\x1b[8mhidden\x9b31m\x9d0;owned\x9c\x7f\b\b\r\nFAKE: all is well\n"
    "\u202egnorw\u2066\u200f\u2028\u2029\u200b\ufeff\U000e0001é\U0001f600"
)
"""Titles, clearing, concealing, 8-bit controls, backspaces, line ends, directions, invisibles."""
QUEUE = "mail"
BAD_QUEUE = f"other{HOSTILE}"
JOB = f"seven{HOSTILE}"
SCHEDULE = f"nightly{HOSTILE}"
LETTERS = f"dead-letter{HOSTILE}"
WORKER = f"w{HOSTILE}"

ALERT = (
    '{"rule":"queue_size","subject":"mail","queues":["mail"],"state":"raised","since_ms":1,'
    '"seen_ms":2,"value":1.0,"threshold":1.0,"text":"long","told_ms":3}'
)
UNSENT = (
    '{"channel":"mail","made_ms":1,"tries":2,"error":"refused","message":{"id":"1","rule":"x",'
    '"queue":"mail","state":"raised","value":1.0,"threshold":1.0,"text":"long","source":"",'
    '"at":"2026-12-01T08:00:00Z","since":"2026-12-01T08:00:00Z"}}'
)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SCREEN = re.compile(r"\x1b\[(\?1049[hl]|\?25[hl]|[0-9;]*H|[012]?[JK])")
"""What `top` itself does to the terminal."""

OUTBOX = ["--outbox", "sqlite:///outbox.db"]

LOOKS: list[list[str]] = [
    ["queues"],
    ["queue", QUEUE],
    ["queue", BAD_QUEUE],
    ["history", QUEUE],
    ["workers"],
    ["jobs", "list", QUEUE],
    ["jobs", "list", QUEUE, "--limit", "1"],
    ["jobs", "list", QUEUE, "--state", "failed"],
    *(["jobs", "show", QUEUE, job_id] for job_id in ("1", "2", "3", "4", JOB)),
    *(["jobs", "explain", QUEUE, job_id] for job_id in ("1", "2", "3", "4", JOB)),
    ["jobs", "explain", QUEUE, f"no{HOSTILE}"],
    ["jobs", "explain", BAD_QUEUE, "7"],
    ["jobs", "logs", QUEUE, "3"],
    ["events"],
    ["events", QUEUE, "--from-start"],
    ["metrics"],
    ["search", ""],
    ["operations", "list"],
    ["audit"],
    ["audit", "--queue", BAD_QUEUE],
    ["keys", "list"],
    ["keys", "remove", f"no{HOSTILE}", "--yes"],
    ["users", "list"],
    ["users", "remove", f"no{HOSTILE}", "--yes"],
    ["users", "change", f"no{HOSTILE}", "--role", "viewer"],
    ["users", "change", f"jo{HOSTILE}", "--queue", f"no{HOSTILE}"],
    ["sessions", "list"],
    ["sessions", "list", "--user", f"no{HOSTILE}"],
    ["sessions", "end", f"no{HOSTILE}", "--yes"],
    ["sessions", "end", "--user", f"no{HOSTILE}", "--yes"],
    ["bulk", "retry", "name:*", "--dry-run"],
    ["search", "--explain", f"name~{HOSTILE}"],
    ["top", "--once"],
    ["flows", "list"],
    ["flows", "list", "--stuck"],
    ["flows", "show", QUEUE, JOB],
    ["doctor"],
    ["alerts", "list"],
    ["alerts", "unmute", f"no{HOSTILE}"],
    ["alerts", "mute", f"no{HOSTILE}", "--for", "2h"],
    ["alerts", "test", f"no{HOSTILE}"],
    ["limit", QUEUE],
    ["dead", "list", "--letters", LETTERS],
    ["dead", "show", f"no{HOSTILE}", "--letters", LETTERS],
    ["schedules", "list"],
    ["schedules", "list", QUEUE],
    ["schedules", "show", SCHEDULE],
    # What is not there is named in the error.
    ["queue", f"no{HOSTILE}"],
    ["jobs", "show", QUEUE, f"no{HOSTILE}"],
    ["jobs", "list", QUEUE, "--after", f"no{HOSTILE}"],
    ["search", "x", "--after", f"no{HOSTILE}"],
    ["search", f"no{HOSTILE}:x"],
    ["operations", "show", f"no{HOSTILE}"],
    ["bulk", "remove", f"state:no{HOSTILE}", "--yes"],
    ["jobs", "list", QUEUE, "--state", f"no{HOSTILE}"],
    ["schedules", "show", f"no{HOSTILE}"],
    ["schedules", "next", f"no{HOSTILE}"],
    ["schedules", "next", "@daily", "--timezone", f"no{HOSTILE}"],
    [f"no{HOSTILE}"],
    ["worker", f"no{HOSTILE}"],
    ["status"],
    ["status", "--spool", f"no{HOSTILE}"],
    ["status", "--spool", f"sqlite:///no{HOSTILE}"],
    ["relay", "status", *OUTBOX],
    ["relay", "status", "--outbox", f"no{HOSTILE}"],
    ["relay", "retry", f"no{HOSTILE}", *OUTBOX],
    ["relay", "remove", f"no{HOSTILE}", "--yes", *OUTBOX],
]
ACTS: list[list[str]] = [
    ["relay", "--drain", *OUTBOX],
    ["relay", "status", *OUTBOX],
    ["relay", "retry", f"row{HOSTILE}", *OUTBOX],
    ["relay", "remove", "--all", "--yes", *OUTBOX],
    ["limit", QUEUE, "--rate", "5/s"],
    ["dead", "set", QUEUE, "--letters", BAD_QUEUE],
    ["dead", "redrive", "--all", "--letters", LETTERS],
    ["dead", "remove", "--all", "--yes", "--letters", LETTERS],
    ["schedules", "run", SCHEDULE],
    ["schedules", "pause", SCHEDULE],
    ["schedules", "remove", SCHEDULE],
    ["events", QUEUE, "--set", "outcomes"],
    ["jobs", "retry", QUEUE, "2"],
    ["bulk", "cancel", f'data~"{HOSTILE}"', "--reason", HOSTILE, "--yes"],
    ["bulk", "remove", f'data~"{HOSTILE}" id:nothing', "--yes"],
    ["operations", "list"],
    ["audit"],
    ["audit", "--queue", BAD_QUEUE],
    ["keys", "list"],
    ["keys", "remove", f"no{HOSTILE}", "--yes"],
    ["users", "list"],
    ["users", "remove", f"no{HOSTILE}", "--yes"],
    ["jobs", "cancel", QUEUE, JOB, "--reason", HOSTILE],
    ["jobs", "promote", QUEUE, "4"],
    ["jobs", "add", QUEUE, f"send{HOSTILE}"],
    ["jobs", "remove", QUEUE, JOB],
    ["tell", WORKER, "pause"],
    ["alerts", "mute", "*", BAD_QUEUE, "--for", "2h", "--reason", HOSTILE],
    ["alerts", "list"],
    ["alerts", "unmute", "*", BAD_QUEUE],
    ["keys", "remove", f"script{HOSTILE}", "--yes"],
    ["users", "change", f"jo{HOSTILE}", "--role", "viewer", "--all-queues"],
    ["sessions", "end", "--user", f"jo{HOSTILE}", "--yes"],
    ["users", "remove", f"jo{HOSTILE}", "--yes"],
    ["pause", QUEUE],
    ["resume", QUEUE],
    ["pause", QUEUE],
    ["clean", QUEUE, "--state", "failed", "--yes"],
    ["drain", QUEUE, "--delayed", "--yes"],
    ["obliterate", QUEUE, "--force", "--yes"],
]
NOT_HERE = {"demo", "encryption-key", "new", "records", "serve", "up", "vapid"}
"""They have a store of their own, or show nothing of it."""


def spoilt(value: Any) -> Any:
    """Return JSON data with every text in it made hostile."""
    match value:
        case str():
            return value + HOSTILE
        case list():
            return [spoilt(each) for each in value]
        case dict():
            return {name: spoilt(each) for name, each in value.items()}
    return value


@pytest.fixture
def store(terminal: Terminal) -> Terminal:
    """A store with a job of every kind, all its texts hostile."""
    terminal.add("mail", "send", {"to": "jo"})
    assert terminal.here("dead", "set", "mail").code == 0
    terminal.add("mail", "broken", {"to": "jo"})
    terminal.add("mail", "send", {"to": "jo"})
    terminal.add("mail", "send", {"to": "jo"}, delay_s=3600.0)
    terminal.add("mail", "send", {"to": "jo"}, job_id="seven", priority=4, delay_s=3600.0)
    terminal.work_off()
    terminal.add("other", "send")
    put = ("schedules", "put", "nightly", "mail", "send", '{"to": "jo"}', "--cron", "@daily")
    assert terminal.here(*put).code == 0
    assert terminal.here("keys", "add", "script", "--role", "viewer", "--queue", "ma*").code == 0
    with sqlite3.connect(terminal.folder / "toril.db") as database:
        database.execute(
            "INSERT INTO access_users VALUES ('jo', 'a hash', 's', 'admin', '[\"mail\"]', 1, 0)"
        )
        database.execute("INSERT INTO alerts VALUES (0, 'queue_size:mail', ?)", [ALERT])
        database.execute("INSERT INTO alerts VALUES (1, '1', ?)", [UNSENT])
        database.execute("INSERT INTO logs VALUES (3, 1, 'a line')")
        database.execute("UPDATE jobs SET progress = '\"half\"', cancel_reason = 'mine'")
        database.execute(
            "UPDATE jobs SET state = 'active', worker_id = 'w', lease_ms = 30000,"
            " lease_ends_ms = 1, processed_ms = timestamp_ms, token = 't' WHERE number = 3"
        )
        database.execute(
            "INSERT INTO workers (id, host, pid, queues, concurrency, running, started_ms, beat_ms,"
            " quiet, resident_bytes, version, tasks) VALUES ('w', 'host', 1, '[\"mail\"]', 1,"
            " 1, 0, 0, 0, 9, 'v', '{\"mail\":[\"send\"]}')"
        )
        database.execute(
            "UPDATE jobs SET state = 'waiting-children', due_ms = 1 WHERE queue_id ="
            " (SELECT id FROM queues WHERE name = 'other')"
        )
        database.execute(
            "UPDATE queues SET n_wait = 0, n_waiting_children = 1, flows = 1 WHERE name = 'other'"
        )
        database.execute(
            "INSERT INTO children SELECT number, 'mail', 'gone', 1, 'pending', NULL FROM jobs"
            " WHERE state = 'waiting-children'"
        )
        _spoil(database)
        database.execute(
            "INSERT INTO access_sessions VALUES ('d', 'user', ?, ?, 99999999999999, 1, 1, ?, ?)",
            [f"jo{HOSTILE}", f"s{HOSTILE}", f"place{HOSTILE}", f"agent{HOSTILE}"],
        )
    database.close()
    _fill_outbox(terminal.folder / "outbox.db")
    return terminal


def _fill_outbox(file: Path) -> None:
    """Make an outbox with a row that waits, and one that was refused."""
    engine = create_engine(f"sqlite:///{file}", poolclass=NullPool)
    with engine.begin() as connection:
        create_outbox(connection)
    now_ms = int(time.time() * 1000)  # rows that were refused long ago are removed
    with sqlite3.connect(file) as database:
        for place, (refused_ms, reason) in enumerate([(None, None), (now_ms, f"why{HOSTILE}")]):
            row = (f"{'row' * place}{HOSTILE}", BAD_QUEUE, f"send{HOSTILE}", "{}", "{}", 1)
            database.execute(
                "INSERT INTO toril_outbox (row_id, queue, name, data, options, created_ms,"
                " refused_ms, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, refused_ms, reason),
            )
    database.close()


def _spoil(database: sqlite3.Connection) -> None:
    """Make each text in each column of each table hostile, but for the store's own words."""
    tables = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    spoilt_columns = set()
    for (table,) in tables:
        columns = database.execute(f"SELECT * FROM pragma_table_info('{table}')").fetchall()
        for _, column, kind, *_ in columns:
            if kind != "TEXT" or column in ("state", "told", "token", "role"):
                continue
            held = f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL"
            change = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"
            for (text,) in database.execute(held).fetchall():
                if text == QUEUE:
                    continue  # it keeps its name: no command takes one that cannot be typed
                database.execute(change, (_spoilt_text(text), text))
                spoilt_columns.add(column)
    expected = "name worker_id custom_id cancel_reason failed_reason result data progress history"
    assert {*expected.split(), *"line body id host queues version".split()} <= spoilt_columns


def _spoilt_text(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return text + HOSTILE
    return json.dumps(spoilt(value), ensure_ascii=False)


def check(text: str, words: list[str], *, allowed: re.Pattern[str] | None = None) -> None:
    """Check that nothing but what can be seen, line ends and `allowed` is in a text."""
    text = text.replace("\r\n", "\n")
    rest = text if allowed is None else allowed.sub("", text)
    bad = {each for each in rest if not each.isprintable() and each != "\n"}
    assert not bad, f"{words} print {bad}: {text!r}"
    assert not any(line.startswith("FAKE") for line in rest.splitlines()), words


def test_looking_at_hostile_text_is_harmless_in_a_pipe(store: Terminal) -> None:
    """Event names, outcomes, worker ids, queue names and job ids were printed as they are."""
    for words in LOOKS:
        for more in ([], ["--json"]):
            done = store.here(*words, *more)

            check(done.out + done.err, words)
            assert "unexpected" not in done.err, (words, done.err)
            if more and done.code == 0 and words[0] not in ("events",) and "logs" not in words:
                assert done.json is not None


@pytest.mark.timeout(600)  # a process for each command
def test_looking_at_hostile_text_is_harmless_on_a_terminal(store: Terminal) -> None:
    coloured = 0
    with Prepared(store) as prepared:
        for words in LOOKS:
            code, text = prepared.run(*words)

            # A search that takes a moment also shows, and wipes, how far it has come.
            check(text, words, allowed=re.compile(f"{COLOUR.pattern}|\r\x1b\\[2K"))
            assert code in MEANINGS, (words, text)
            coloured += bool(COLOUR.search(text))
    assert coloured > 10  # it is a terminal to them


def test_watching_hostile_text_is_harmless(store: Terminal) -> None:
    with Screen(store, "top") as screen:
        screen.shows("mail")
        screen.types("q")
        assert screen.ends() == 0

    check(screen.text, ["top"], allowed=re.compile(f"{COLOUR.pattern}|{SCREEN.pattern}|\r"))


@pytest.mark.timeout(600)  # a process for each command
@pytest.mark.parametrize("as_json", [False, True])
def test_acting_on_hostile_text_is_harmless(store: Terminal, as_json: bool) -> None:
    with Prepared(store) as prepared:
        for words in ACTS:
            code, text = prepared.run(*words, *["--json"] * as_json)

            check(text, words, allowed=re.compile(f"{COLOUR.pattern}|\r\x1b\\[2K"))
            assert code in MEANINGS, (words, text)


@pytest.mark.parametrize("as_json", [False, True])
def test_moving_hostile_text_is_harmless(store: Terminal, as_json: bool) -> None:
    more = ["--json"] * as_json
    for words in (["--dry-run"], ["--force"]):
        done = store.here(
            "migrate", "--from", store.url, "--to", f"sqlite:///{store.folder}/to.db", *words, *more
        )

        check(done.out + done.err, words)
        assert "unexpected" not in done.err, done.err


def test_hostile_text_in_redis_is_harmless(
    terminal: Terminal, redis_server: RedisServer, redis_prefix: str, redis_url: str
) -> None:
    """Other programs write there what they like, the names of events included."""
    terminal.url = redis_url
    for name in ("send", "broken", "send"):
        terminal.add("mail", name, {"to": "jo"})
    terminal.work_off()
    terminal.add("mail", "send", {"to": "jo"})
    for key in redis_server.keys(redis_prefix):
        match redis_server.command("TYPE", key):
            case "hash":
                flat = redis_server.command("HGETALL", key)
                for field, value in zip(flat[::2], flat[1::2], strict=True):
                    redis_server.command("HSET", key, field, _spoilt_text(value))
            case "stream":
                for _, flat in redis_server.command("XRANGE", key, "-", "+"):
                    redis_server.command("XADD", key, "*", *map(_spoilt_text, flat))
                    event = [_spoilt_text(text) if at % 2 else text for at, text in enumerate(flat)]
                    redis_server.command("XADD", key, "*", *event)

    shown = ""
    for words in LOOKS:
        for more in ([], ["--json"]):
            with_url = [] if words[0] == "worker" else ["--url", redis_url]
            done = terminal.here(*words, *with_url, *more)
            check(done.out + done.err, words)
            shown += done.out + done.err

    assert "unexpected" not in shown
    assert shown.count("FAKE: all is well") > 50


def test_every_command_is_tried() -> None:
    tried = {words[0] for words in LOOKS + ACTS} | {"migrate"}

    assert set(COMMANDS) - NOT_HERE <= tried


def test_there_is_one_place_that_prints() -> None:
    """Whatever is printed elsewhere reaches the terminal as it is: use `write`, or `Output`."""
    prints = re.compile(r"click\.s?echo\(|\bprint\(|sys\.std(out|err)\.write\(|styled\(")
    sources = Path(toril.cli.__file__).parent.glob("*.py")

    found = {path.name for path in sources if prints.search(path.read_text("utf-8"))}

    # Of rich's console that captures, and of the note that wipes itself.
    assert found <= {"output.py", "top.py"}


def test_json_means_the_same(store: Terminal) -> None:
    shown = store.here("jobs", "show", QUEUE, "1", "--json").json

    names = [info["name"] for info in store.here("queues", "--json").json["queues"]]
    assert BAD_QUEUE in names
    assert shown["name"] == f"send{HOSTILE}"
    assert shown["data"] == {"to": f"jo{HOSTILE}"}


def test_worker_tells_hostile_text_harmlessly(store: Terminal) -> None:
    (store.folder / "loud.py").write_text(
        "import logging\nfrom toril import App, RetryPolicy\n"
        f"HOSTILE = {HOSTILE!r}\napp = App()\n"
        "@app.task(queue='loud', retry=RetryPolicy(max_attempts=1))\n"
        "async def shout() -> None:\n"
        "    logging.getLogger('toril.mine').warning('a %s', HOSTILE)\n"
        "    raise ValueError(HOSTILE)\n"
    )
    for log_format in ("text", "json"):
        store.add("loud", "shout")
        with Screen(store, "worker", "loud:app", "--log-format", log_format) as screen:
            screen.shows("a \\")  # what the task says
            screen.shows("ValueError")  # what became of it
            screen.types("\x03")
            screen.ends()

        check(screen.text, ["worker"], allowed=COLOUR)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é \U0001f600", "plain é \U0001f600"),
        ("a\x1b[31mb\nc\u202e", r"a\x1b[31mb c\u202e"),
        ("\x00\x9b\x7f", r"\x00\x9b\x7f"),
        ("\ud800", r"\ud800"),
        ("\u2028\u2029\x85\x1c", "    "),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_last_look_passes_colours_and_line_ends_only() -> None:
    text = "\x1b[1;31mred\x1b[0m\n\x1b[2J\x1b]0;x\x07\t\x9b1m"

    assert harmless_output(text) == "\x1b[1;31mred\x1b[0m\n\\x1b[2J\\x1b]0;x\\x07 \\x9b1m"


@pytest.mark.parametrize("ascii_only", [False, True])
def test_escaped_json_is_the_same_value(ascii_only: bool) -> None:
    value = {"a": HOSTILE, HOSTILE: ["\\", '"', "é", "\U0001f600", "\U0010ffff"]}
    text = json.dumps(value, ensure_ascii=False, indent=2)

    made = harmless_json(text, ascii_only=ascii_only)

    assert json.loads(made) == value
    assert all(each.isprintable() or each == "\n" for each in made)
    assert made.isascii() is ascii_only
