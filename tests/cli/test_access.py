"""`toril keys`, `toril users`, `toril audit`: who may use a server, and who did what."""

from __future__ import annotations

import re

import pytest
from tests.cli.support import Terminal
from tests.web.access.calling import PASSWORD, control, own

from toril import App
from toril.core.extras import how_to_install


def test_key_is_printed_once_and_alone_on_stdout(terminal: Terminal) -> None:
    """So that a script can keep it."""
    made = terminal.run(
        "keys", "add", "deploy", "--role", "submitter", "--queue", "shop-*", "--queue", "mail",
        "--expires", "90d", "--payloads",
    )  # fmt: skip

    assert made.code == 0, made.err
    assert re.fullmatch(r"toril_[\w-]{43}\n", made.out)
    assert made.err == "Key 'deploy', submitter. This is its only showing:\n"
    listed = terminal.run("keys", "list", "--json")
    assert made.out.strip() not in listed.out
    (key,) = listed.json
    assert {
        "name": "deploy", "role": "submitter", "queues": ["shop-*", "mail"], "payloads": True,
        "expired": False,
    }.items() <= key.items()  # fmt: skip
    table = terminal.run("keys", "list").out
    assert re.search(r"deploy +submitter +shop-\*, mail +yes ", table)


def test_key_as_json(terminal: Terminal) -> None:
    made = terminal.run("keys", "add", "deploy", "--role", "viewer", "--json")

    assert made.json["name"] == "deploy"
    assert made.json["key"].startswith("toril_")
    assert made.err == ""


def test_removed_key_is_gone(terminal: Terminal) -> None:
    terminal.run("keys", "add", "deploy", "--role", "viewer")

    refused = terminal.run("keys", "remove", "deploy")
    assert refused.code == 2
    assert "give --yes" in refused.err
    assert terminal.run("keys", "remove", "deploy", "--yes").out == "Key 'deploy' was removed.\n"

    again = terminal.run("keys", "remove", "deploy", "--yes")
    assert (again.code, again.err) == (4, "toril: no key 'deploy': see toril keys list\n")
    assert "There are no keys." in terminal.run("keys", "list").out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--role", "owner"], "'owner' is not one of 'viewer'"),
        ([], "Missing option '--role'"),
        (["--role", "viewer", "--queue", "a:b"], "names of queues"),
        (["--role", "viewer", "--expires", "soon"], "not a duration"),
    ],
)
def test_key_that_makes_no_sense_is_refused(
    terminal: Terminal, words: list[str], problem: str
) -> None:
    refused = terminal.run("keys", "add", "deploy", *words)

    assert refused.code == 2
    assert problem in refused.err
    assert refused.out == ""


def test_user_is_added_with_a_password_from_stdin(terminal: Terminal) -> None:
    added = terminal.run("users", "add", "jo", "--role", "operator", stdin=f"{PASSWORD}\n")

    assert (added.code, added.out) == (0, "User 'jo' was added: operator.\n")
    (user,) = terminal.run("users", "list", "--json").json
    assert {"name": "jo", "role": "operator", "queues": None, "payloads": False}.items() <= (
        user.items()
    )
    twice = terminal.run("users", "add", "jo", "--role", "viewer", stdin=f"{PASSWORD}\n")
    assert twice.code == 2
    assert "there is a user of this name" in twice.err


def test_password_is_changed_and_user_removed(terminal: Terminal) -> None:
    terminal.run("users", "add", "jo", "--role", "operator", stdin=f"{PASSWORD}\n")
    before = terminal.ask(lambda app: app.backend().access.users())

    changed = terminal.run("users", "password", "jo", stdin="another long password\n")

    assert (changed.code, changed.err) == (0, "")
    after = terminal.ask(lambda app: app.backend().access.users())
    assert before[0].password != after[0].password
    assert before[0].stamp != after[0].stamp
    assert terminal.run("users", "password", "ann", stdin=f"{PASSWORD}\n").code == 4
    assert terminal.run("users", "remove", "jo", "--yes").code == 0
    assert terminal.run("users", "remove", "jo", "--yes").code == 4
    assert "There are no users." in terminal.run("users", "list").out


def users_now(terminal: Terminal) -> list[tuple[object, ...]]:
    found = terminal.run("users", "list", "--json").json
    return [(one["name"], one["role"], one["queues"], one["payloads"]) for one in found]


def test_rights_of_a_user_are_changed_and_what_is_not_named_stays(terminal: Terminal) -> None:
    terminal.run("users", "add", "jo", "--role", "operator", "--queue", "mail",
                 stdin=f"{PASSWORD}\n")  # fmt: skip

    changed = terminal.run("users", "change", "jo", "--role", "viewer")
    assert (changed.code, changed.err) == (0, "")
    assert changed.out == "User 'jo' is changed: viewer, queues: mail, sees no payloads.\n"
    assert users_now(terminal) == [("jo", "viewer", ["mail"], False)]
    terminal.run("users", "change", "jo", "--queue", "shop-*", "--queue", "mail", "--payloads")
    assert users_now(terminal) == [("jo", "viewer", ["shop-*", "mail"], True)]
    terminal.run("users", "change", "jo", "--all-queues", "--no-payloads")
    assert users_now(terminal) == [("jo", "viewer", None, False)]

    document = terminal.run("users", "change", "jo", "--role", "admin", "--json").json
    assert (document["name"], document["role"]) == ("jo", "admin")
    audit = terminal.run("audit", "--verb", "users.change").out
    assert "role: viewer -> admin" in audit
    assert "name=jo" in audit
    (last, *_) = terminal.run("audit", "--verb", "users.change", "--json").json["entries"]
    assert last["before"] == {"role": "viewer", "queues": None, "payloads": False}
    assert last["after"] == {"role": "admin", "queues": None, "payloads": False}


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["jo"], 2, "Nothing to change"),
        (["jo", "--role", "owner"], 2, "'owner' is not one of 'viewer'"),
        (["jo", "--queue", "mail", "--all-queues"], 2, "not both"),
        (["jo", "--queue", "a:b"], 2, "names of queues"),
        (["ann", "--role", "viewer"], 4, "no user 'ann': see toril users list"),
    ],
)
def test_change_of_a_user_that_makes_no_sense_is_refused(
    terminal: Terminal, words: list[str], code: int, problem: str
) -> None:
    terminal.run("users", "add", "jo", "--role", "operator", stdin=f"{PASSWORD}\n")

    refused = terminal.run("users", "change", *words)

    assert (refused.code, refused.out) == (code, "")
    assert problem in refused.err
    assert users_now(terminal) == [("jo", "operator", None, False)]


def test_last_administrator_stays_one(terminal: Terminal) -> None:
    terminal.run("users", "add", "jo", "--role", "admin", stdin=f"{PASSWORD}\n")

    for words in (["change", "jo", "--role", "viewer"], ["remove", "jo", "--yes"]):
        refused = terminal.run("users", *words)
        assert refused.code == 4
        assert "'jo' is the last one who is an administrator for all queues" in refused.err
        assert "make another user one first" in refused.err

    assert users_now(terminal) == [("jo", "admin", None, False)]
    assert terminal.run("users", "remove", "jo", "--last", "--yes").code == 0


async def signed_in(app: App) -> None:
    """Sign in: jo with two browsers, and somebody with a key."""
    access = control(app)
    key = await access.keys.add("board", role="viewer")
    for agent in ("curl/8.14", "\x1b[2J Firefox/140.0 Linux"):
        await access.sessions.sign_in(own(user_agent=agent), "jo", PASSWORD)
    await access.sessions.sign_in_with_key(own(user_agent="curl/9"), key)


def test_sessions_are_listed_and_ended(terminal: Terminal) -> None:
    terminal.run("users", "add", "jo", "--role", "operator", stdin=f"{PASSWORD}\n")
    assert terminal.run("sessions", "list").out == "Nobody is signed in.\n"
    terminal.ask(signed_in)

    listed = terminal.run("sessions", "list")
    assert "\x1b" not in listed.out
    assert re.search(r"user:jo +Firefox 140, Linux +192\.0\.2\.1 ", listed.out), listed.out
    assert re.search(r"key:board +curl/9 ", listed.out)
    found = terminal.run("sessions", "list", "--user", "jo", "--json").json
    assert [one["name"] for one in found] == ["jo", "jo"]
    assert [one["kind"] for one in terminal.run("sessions", "list", "--key", "board", "--json").json
            ] == ["key"]  # fmt: skip

    assert "give --yes" in terminal.run("sessions", "end", found[0]["id"]).err
    ended = terminal.run("sessions", "end", found[0]["id"], "--yes")
    assert (ended.code, ended.out) == (0, f"Session '{found[0]['id']}' has ended.\n")
    again = terminal.run("sessions", "end", found[0]["id"], "--yes")
    assert again.code == 4
    assert "see toril sessions list" in again.err
    rest = terminal.run("sessions", "end", "--user", "jo", "--yes")
    assert rest.out == "1 session of user 'jo' ended.\n"
    of_key = terminal.run("sessions", "end", "--key", "board", "--yes", "--json").json
    assert of_key == {"kind": "key", "name": "board", "ended": 1}
    assert terminal.run("sessions", "list", "--json").json == []
    verbs = [one["verb"] for one in terminal.run("audit", "--json").json["entries"][:3]]
    assert verbs == ["sessions.end_all", "sessions.end_all", "sessions.end"]


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["end", "--yes"], 2, "Give the ID of a session, or --user NAME, or --key NAME."),
        (["end", "x", "--user", "jo", "--yes"], 2, "Give the ID of a session"),
        (["end", "--user", "nobody", "--yes"], 4, "no user 'nobody': see toril users list"),
        (["end", "--key", "nobody", "--yes"], 4, "no key 'nobody': see toril keys list"),
        (["end", "0123", "--yes"], 4, "no session '0123': see toril sessions list"),
        (["list", "--user", "jo", "--key", "jo"], 2, "Give one of --user, --key and --mine."),
        (["list", "--mine"], 2, "--mine asks a server"),
    ],
)
def test_sessions_that_are_none_are_named(
    terminal: Terminal, words: list[str], code: int, problem: str
) -> None:
    terminal.add("mail", "send")

    refused = terminal.run("sessions", *words)

    assert (refused.code, refused.out) == (code, "")
    assert problem in refused.err


@pytest.mark.parametrize("typed", [None, "", "\n", "hunter2hunt\n"])
def test_password_that_will_not_do_is_refused_and_not_repeated(
    terminal: Terminal, typed: str | None
) -> None:
    refused = terminal.run("users", "add", "jo", "--role", "viewer", stdin=typed)

    assert refused.code == 2
    assert "assword" in refused.err
    assert "hunter2" not in refused.err
    assert "Traceback" not in refused.err


def test_what_the_command_line_does_is_in_the_audit_log(terminal: Terminal) -> None:
    job_id = terminal.add("mail", "send", {"to": "jo", "password": "swordfish"})
    terminal.run("keys", "add", "deploy", "--role", "viewer")
    terminal.run("pause", "mail")
    terminal.run("limit", "mail", "--concurrency", "3")
    assert terminal.run("jobs", "remove", "mail", job_id).code == 0

    shown = terminal.run("audit")

    assert shown.code == 0, shown.err
    _, *rows = shown.out.splitlines()
    verbs = [row.split()[3] for row in rows]
    assert verbs == ["remove", "set_concurrency", "pause", "keys.add"]
    assert all(re.search(r" cli:\S", row) for row in rows)
    assert "limit=3; concurrency: null -> 3" in rows[1]
    assert "paused: false -> true" in rows[2]
    assert "name=deploy; role=viewer" in rows[3]
    assert "swordfish" not in shown.out
    document = terminal.run("audit", "--json", "--verb", "remove").json
    (entry,) = document["entries"]
    assert (entry["queue"], entry["job_id"], entry["kind"]) == ("mail", job_id, "cli")
    assert document["next"] is None


def test_audit_log_is_read_by_pages_and_filters(terminal: Terminal) -> None:
    for name in ("mail", "shop"):
        terminal.add(name, "send")
        terminal.run("pause", name)
        terminal.run("resume", name)

    first = terminal.run("audit", "--limit", "3", "--json").json
    rest = terminal.run("audit", "--after", first["next"], "--json").json
    assert [one["verb"] for one in first["entries"] + rest["entries"]] == ["resume", "pause"] * 2
    assert f"More: add --after {first['next']}" in terminal.run("audit", "--limit", "3").out
    assert len(terminal.run("audit", "--queue", "mail", "--json").json["entries"]) == 2
    assert len(terminal.run("audit", "--since", "1h", "--json").json["entries"]) == 4
    assert "Nothing of this" in terminal.run("audit", "--actor", "user:jo").out
    refused = terminal.run("audit", "--after", "x")
    assert refused.code == 2
    assert "cursor" in refused.err


def test_audit_log_that_is_off_stays_empty(terminal: Terminal) -> None:
    terminal.add("mail", "send")
    terminal.run("pause", "mail", TORIL_AUDIT="off")

    assert "Nothing of this" in terminal.run("audit").out
    assert terminal.run("audit", TORIL_AUDIT="maybe").code == 2


def test_hostile_names_in_the_audit_log_are_harmless(terminal: Terminal) -> None:
    from toril import acting

    async def act(app: App) -> None:
        with acting("user:jo", "\x1b[2Jgone"):
            async with app.operating("import", "mail", note="\x1b]0;title\x07"):
                pass

    terminal.ask(act)

    assert "\x1b" not in terminal.run("audit").out
    assert "\x1b" not in terminal.run("audit", "--json").out


def test_commands_need_no_server_to_be_installed(terminal: Terminal) -> None:
    (terminal.folder / "starlette.py").write_text("raise ImportError('it is not there')\n")
    (terminal.folder / "argon2.py").write_text("raise ImportError('it is not there')\n")
    here = {"PYTHONPATH": str(terminal.folder)}

    assert terminal.run("keys", "add", "deploy", "--role", "viewer", **here).code == 0
    assert terminal.run("audit", **here).code == 0
    refused = terminal.run("users", "add", "jo", "--role", "viewer", stdin=f"{PASSWORD}\n", **here)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == f"toril: passwords need argon2-cffi: {how_to_install('web')}\n"
