"""`toril`: finds the command, runs it, and turns an error into one sentence and an exit code.

A command's module is imported when the command is used, so that `toril --help` and completion load
neither the engine nor rich. `COMMANDS` names the modules.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from toril.cli.codes import (
    DONE,
    ERROR,
    INTERRUPTED,
    MEANINGS,
    USAGE,
    RefusedError,
    SeveralRefusedError,
    code_of,
)
from toril.cli.harmless import printable, readable_streams, write
from toril.cli.streams import open_closed_streams
from toril.core.redact import without_passwords
from toril.version import VERSION

COMMANDS = {
    "demo": ("demo:demo", "Put photographs through the image queue and show what comes out."),
    "worker": ("worker:worker", "Run the jobs of an app."),
    "serve": ("serve:serve", "Answer over HTTP: the REST interface."),
    "up": ("serve:up", "Run the jobs of an app and answer over HTTP, in one process."),
    "queues": ("queue:queues", "List queues with their figures."),
    "queue": ("queue:show_queue", "Show one queue: what is in it, and what holds it back."),
    "workers": ("workers:workers", "List the workers that are alive."),
    "tell": ("workers:tell", "Tell a worker to pause, resume, resize, take no more jobs or stop."),
    "jobs": ("jobs:jobs", "List, show, explain, add, retry, remove, promote and cancel jobs."),
    "search": ("search:search", "Find jobs by a line of text, in all queues."),
    "bulk": ("bulk:bulk", "Retry, remove, promote, cancel, move or export what a search finds."),
    "operations": ("operations:operations", "List, show, run, cancel and undo bulk operations."),
    "dead": ("dead:dead", "List, show, redrive and remove letters of jobs that failed for good."),
    "schedules": ("schedules:schedules", "List, put, run, pause and remove schedules."),
    "flows": ("flows:flows", "List flows that wait or are stuck; show one as a tree."),
    "pause": ("queue:pause", "Let no job of a queue start; those that run go on."),
    "resume": ("queue:resume", "Let the jobs of a paused queue start again."),
    "limit": ("queue:limit", "Show or set a queue's rate and concurrency, over all workers."),
    "drain": ("queue:drain", "Remove all jobs that wait."),
    "clean": ("queue:clean", "Remove old jobs of one state."),
    "obliterate": ("queue:obliterate", "Remove a paused queue with all that it holds."),
    "events": ("events:events", "Print what happened, and what happens."),
    "status": ("status:status", "Say which store is live, and what waits in the spool."),
    "history": ("history:history", "Show what a queue did over time, and how long jobs took."),
    "metrics": ("metrics:metrics", "Print the figures of queues for Prometheus."),
    "alerts": ("alerts:alerts", "List and mute alerts, and try who is told."),
    "top": ("top:top", "Watch queues and workers, live."),
    "keys": ("keys:keys", "List, add and remove keys of servers."),
    "users": ("users:users", "List, add, change and remove users of servers; set passwords."),
    "sessions": ("sessions:sessions", "List browsers that are signed in, and sign them out."),
    "audit": ("audit:audit", "Print who did what to jobs, queues and the store."),
    "relay": ("relay:relay", "Add the jobs of an outbox to the store; show what waits there."),
    "migrate": ("migrate:migrate", "Move queues with their jobs to another store."),
    "records": ("records:records", "Look at and migrate the tables in a database of yours."),
    "encryption-key": ("encryption_key:encryption_key", "Make a key for sealed fields."),
    "new": ("new:new", "Start an application with typed queues; add a queue to it."),
    "vapid": ("vapid:vapid", "Make a key pair for Web Push."),
    "doctor": ("doctor:doctor", "Look the installation and the store over; mend the store."),
}
"""Command to `module:function` in this package, and what it is for."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def __init__(self, *, lazy: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(**options)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the table."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now."""
        if cmd_name not in self._lazy:
            return None
        module, _, name = self._lazy[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(f"toril.cli.{module}"), name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; name the nearest when there is none."""
        if args[0] not in self._lazy:
            self._refuse_part(args[0], ctx)
        refuse_unknown(args[0], list(self._lazy), ctx)
        return super().resolve_command(ctx, args)

    def _refuse_part(self, word: str, ctx: click.Context) -> None:
        """Refuse the second word of a command that has two, such as `retry`, with the whole.

        Raises:
            UsageError: It is one.
        """
        whole = []
        for name in self._lazy:
            group = self.get_command(ctx, name)
            if isinstance(group, click.Group) and word in group.commands:
                whole.append(repr(f"{name} {word}"))
        if whole:
            meant = ", ".join(whole)
            raise click.UsageError(f"unknown command {word!r}: did you mean {meant}?", ctx)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that goes away (`| head`) is no error."""
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:  # None: it was closed before this process began
                sys.stdout.flush()
        except BrokenPipeError:
            _wave_after_reader()
            return DONE
        return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list from the table, importing nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in self._lazy.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in MEANINGS.items()])


class SuggestingGroup(click.Group):
    """A group that names the nearest of its commands when asked for one that is not there.

    Asked for none, it says which there are.
    """

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; name the nearest when there is none."""
        refuse_unknown(args[0], list(self.commands), ctx)
        return super().resolve_command(ctx, args)


def refuse_unknown(word: str, known: Sequence[str], ctx: click.Context) -> None:
    """Refuse a command that is not known, with the nearest that is.

    Raises:
        UsageError: It is not known. (Options are left to click, which does the same.)
    """
    if word in known or word.startswith("-"):
        return
    from toril.core.checks import unknown

    raise click.UsageError(unknown("command", word, known), ctx)


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(VERSION, "-V", "--version", prog_name="toril", message="%(prog)s %(version)s")
@click.pass_context
def toril(ctx: click.Context) -> None:
    """Background jobs: run workers, look at queues, operate them.

    Jobs live where --url says, else TORIL_URL, else toril.toml, else ./toril.db. Every command
    that prints something has --json. `toril COMMAND --help` says more.
    """
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; what went wrong is on stderr.

    Parameters:
        arguments: Without the program's name. Default: this process's.
    """
    try:
        code = toril.main(arguments, prog_name="toril", standalone_mode=False)
    except click.NoSuchOption as error:
        words = sys.argv[1:] if arguments is None else arguments
        hint = _in_other_words(error) or _behind_the_command(error, words)
        return _complain(f"{_sentence(error)}{hint} {_way_to_help(error)}", USAGE)
    except click.UsageError as error:
        return _complain(f"{_sentence(error)} {_way_to_help(error)}", USAGE)
    except SeveralRefusedError as error:
        for sentence in error.sentences:
            _complain(" ".join(sentence.split()), error.code)
        return error.code
    except RefusedError as error:
        return _complain(_sentence(error), error.code)
    except click.ClickException as error:
        return _complain(_sentence(error), error.exit_code)
    except (click.exceptions.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except UnicodeEncodeError as error:  # an argument that is no text
        return _complain(f"{error.object[:100]!a}: expected text, in UTF-8", USAGE)
    except Exception as error:
        known = code_of(error)
        if known is None:
            return _complain(_unexpected(error), ERROR)
        return _complain(_plain(error), known)
    return code if isinstance(code, int) else DONE


def main() -> NoReturn:
    """Run this process's command line."""
    open_closed_streams()
    readable_streams()
    sys.exit(run([_as_utf8(word) for word in sys.argv[1:]]))


def _as_utf8(word: str) -> str:
    """Return an argument as it was typed: in UTF-8, whatever Python was told of the locale."""
    try:
        return os.fsencode(word).decode()
    except UnicodeError:  # the name of a file may be any bytes
        return word


def _wave_after_reader() -> None:
    """Let what is still buffered go nowhere: at the interpreter's end it would be complained of."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(sentence: str, code: int) -> int:
    try:
        write(printable(f"toril: {without_passwords(sentence)}"), err=True)
    except OSError:
        return code  # nobody reads it
    return code


def _sentence(error: click.ClickException) -> str:
    return " ".join(error.format_message().split())


def _in_other_words(error: click.NoSuchOption) -> str:
    """Return a hint for who types an option as other queues have it, `-Q` or `-A`; else nothing."""
    other = error.option_name.swapcase()
    parameters = error.ctx.command.params if error.ctx is not None else []
    if error.ctx is not None and error.option_name in {"-A", "--app"} and _takes_an_app(parameters):
        return f" The app comes without an option: {error.ctx.command_path} MODULE:APP."
    for parameter in parameters:
        if len(other) == 2 and other in parameter.opts:
            return f" Did you mean {', '.join(parameter.opts)}?"
    return ""


def _behind_the_command(error: click.NoSuchOption, words: Sequence[str]) -> str:
    """Return where an option goes that was given before the command that has it; else nothing."""
    context = error.ctx
    if context is None or not isinstance(context.command, click.Group):
        return ""
    command: click.Command = context.command
    path = context.command_path
    for word in words:
        if isinstance(command, click.Group) and word in command.list_commands(context):
            command = command.get_command(context, word) or command
            path = path if path.endswith(f" {word}") else f"{path} {word}"
        if any(error.option_name in parameter.opts for parameter in command.params):
            return f" It goes after the command: {path} {error.option_name} …"
    return ""


def _takes_an_app(parameters: Sequence[click.Parameter]) -> bool:
    return any(parameter.metavar == "MODULE:APP" for parameter in parameters)


def _way_to_help(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx is not None else "toril"
    return f"(see {path} --help)"


def _plain(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return str(error)


def _unexpected(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(frame.filename)}:{frame.lineno}"
    return f"unexpected {type(error).__name__} at {place}: {error}; please report it"
