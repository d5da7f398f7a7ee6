"""`toril` itself: help, unknown words, exit codes, and what a reader that goes away means."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from tests.cli.support import PATIENCE_S, Terminal, command

from toril.cli.codes import DONE, INTERRUPTED, MEANINGS, STATE, STORE, USAGE
from toril.cli.main import COMMANDS, toril
from toril.version import VERSION


def test_help_names_every_command_and_exit_code(terminal: Terminal) -> None:
    result = terminal.run("--help")

    assert result.code == DONE
    assert all(f"  {name}  " in result.out or f"  {name} " in result.out for name in COMMANDS)
    assert all(f"\n  {code}  " in result.out for code in MEANINGS)


def test_toril_alone_is_help(terminal: Terminal) -> None:
    assert terminal.here().out == terminal.here("--help").out


def test_version(terminal: Terminal) -> None:
    assert terminal.here("--version").out == f"toril {VERSION}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(terminal: Terminal, name: str) -> None:
    result = terminal.here(name, "--help")

    assert result.code == DONE
    assert result.out.startswith("Usage: toril " + name)


def test_table_of_commands_agrees_with_the_commands() -> None:
    for name in COMMANDS:
        found = toril.get_command(toril.make_context("toril", [name], resilient_parsing=True), name)
        assert found is not None
        assert found.name == name


def test_help_imports_neither_rich_nor_the_commands() -> None:
    code = (
        "import sys; from toril.cli.main import run; run(['--help']);"
        "print([name for name in sys.modules if name.split('.')[0] in ('rich', 'uvloop', 'apsw')"
        " or name.startswith('toril.cli.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == (
        "['toril.cli.codes', 'toril.cli.harmless', 'toril.cli.streams', 'toril.cli.main']"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["quues"], "unknown command 'quues': did you mean 'queues'? (see toril --help)"),
        (["jobs", "lst"], "unknown command 'lst': did you mean 'list'? (see toril jobs --help)"),
        (["queues", "--jsn"], "Did you mean '--json'?"),
        (["pause"], "Missing argument 'QUEUE'"),
        (["explain", "7"], "unknown command 'explain': did you mean 'jobs explain'?"),
        (["redrive"], "unknown command 'redrive': did you mean 'dead redrive'?"),
        (
            ["retry", "mail", "7"],
            "did you mean 'jobs retry', 'bulk retry', 'relay retry'? (see toril",
        ),
        (["jobs", "retry", "7"], "Give the queue and the ids of its jobs"),
        (
            ["worker", "-A", "shop"],
            "No such option '-A'. The app comes without an option: toril worker MODULE:APP.",
        ),
        (
            ["--url", "sqlite:///a.db", "queues"],
            "No such option '--url'. It goes after the command: toril queues --url … (see",
        ),
        (["--json", "jobs", "list"], "It goes after the command: toril jobs list --json …"),
        (["jobs", "--server", "http://x", "list"], "the command: toril jobs list --server …"),
        (["worker", "shop:app", "-Q", "mail"], "No such option '-Q'. Did you mean -q, --queues?"),
    ],
)
def test_unknown_words_are_answered_with_the_nearest(
    terminal: Terminal, words: list[str], expected: str
) -> None:
    result = terminal.here(*words)

    assert result.code == USAGE
    assert result.out == ""
    assert result.err.startswith("toril: ")
    assert expected in result.err
    assert result.err.count("\n") == 1


NO_JSON = {"worker", "serve", "up", "alerts watch"}
"""They go on until they are told to stop, and print nothing but log lines."""


def commands_of(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Yield each command in words, and its options."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands_of(command, (*path, name))
        else:
            yield " ".join((*path, name)), {one for each in command.params for one in each.opts}


def test_every_command_that_prints_something_has_json(terminal: Terminal) -> None:
    """`encryption-key` and `records sql` had none, although `toril --help` said so."""
    without = {name for name, options in commands_of(toril) if "--json" not in options}

    assert without == NO_JSON
    assert list(terminal.here("encryption-key", "--json").json) == ["key"]


LOOKING = [
    ["queues"],
    ["workers"],
    ["tell", "nobody", "pause"],
    ["jobs", "list", "mail"],
    ["jobs", "show", "mail", "1"],
    ["jobs", "logs", "mail", "1"],
    ["jobs", "retry", "mail", "1"],
    ["jobs", "remove", "mail", "1"],
    ["jobs", "promote", "mail", "--all"],
    ["jobs", "cancel", "mail", "1"],
    ["pause", "mail"],
    ["resume", "mail"],
    ["limit", "mail"],
    ["drain", "mail", "--yes"],
    ["clean", "mail", "--yes"],
    ["obliterate", "mail", "--yes"],
    ["events", "mail"],
    ["top", "--once"],
    ["doctor"],
    ["doctor", "--repair", "--yes"],
]


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_only_adding_and_working_make_a_store(terminal: Terminal, words: list[str]) -> None:
    result = terminal.here(*words)

    assert result.code == STORE
    assert "there is no such file" in result.err
    assert not list(terminal.folder.glob("toril.db*"))


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_a_foreign_file_is_refused_and_left_alone(terminal: Terminal, words: list[str]) -> None:
    file = terminal.folder / "theirs.db"
    file.write_bytes(b"this is no database at all, but somebody needs it" * 20)
    before = file.read_bytes()

    result = terminal.here(*words, "--url", f"sqlite:///{file}")

    assert result.code == STORE
    assert result.err.startswith("toril: ")
    assert "Traceback" not in result.err
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [words for words in LOOKING if words[0] not in ("queues", "workers", "tell", "top", "doctor")],
    ids=" ".join,
)
def test_unknown_queues_and_jobs_are_named(terminal: Terminal, words: list[str]) -> None:
    terminal.add("mial", "send")

    result = terminal.here(*words)

    assert result.code == STATE
    assert "'mail'" in result.err


def test_a_setting_that_makes_no_sense_is_a_usage_error(terminal: Terminal) -> None:
    result = terminal.run("queues", TORIL_CONCURRENCY="many")

    assert result.code == USAGE
    assert result.err == "toril: TORIL_CONCURRENCY='many': expected an integer from 1\n"


def test_url_wins_over_the_environment(terminal: Terminal) -> None:
    terminal.add("mail", "send")

    result = terminal.run("queues", "--json", "--url", terminal.url, TORIL_URL="sqlite:///no.db")

    assert [queue["name"] for queue in result.json["queues"]] == ["mail"]


def test_a_reader_that_goes_away_is_no_error(terminal: Terminal) -> None:
    async def fill(app: object) -> None:
        await app.queue("mail").add_many([("send", {"to": "x" * 200})] * 2000)  # type: ignore[attr-defined]

    terminal.ask(fill)
    process = subprocess.Popen(
        command("events", "--from-start", "--json"),
        cwd=terminal.folder,
        env=terminal.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None

    assert process.stdout.readline().startswith(b'{"queue":"mail"')
    process.stdout.close()

    assert process.stderr.read() == b""
    assert process.wait(PATIENCE_S) == DONE
    process.stderr.close()


def test_ctrl_c_is_quiet(terminal: Terminal) -> None:
    import signal

    terminal.add("mail", "send")
    following = terminal.start("events", "--follow").says("added")

    following.tell(signal.SIGINT)

    assert following.ends() == INTERRUPTED
    assert "Traceback" not in following.log


def test_an_unexpected_error_is_a_sentence_too(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def explode(self: object, **_: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("toril.app.App.queues", explode)
    terminal.add("mail", "send")

    result = terminal.here("queues")

    assert result.code == 1
    assert result.err.startswith("toril: unexpected KeyError at test_main.py:")
    assert result.err.count("\n") == 1
