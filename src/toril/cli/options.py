"""Options that several commands share, and parsers for their values."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

PRIORITY_HELP = (
    "urgent, high, normal, low, or a number from 1, lower first. Default: 0, none, which goes"
    " before all of them."
)

SERVER = "toril.server"
"""Where a command remembers its `--server`."""
SERVER_IS_DEFAULT = "toril.server_is_default"
"""Whether it is from the environment, so that `--url` goes before."""
NONE = "none"
"""The word that takes a limit away."""


def duration(value: str | float) -> float:
    """Return the seconds of `90`, `250ms`, `5m` or `7d`.

    Raises:
        BadParameter: It is none.
    """
    from toril.core.durations import LONGEST_S, meaning

    duration_s = value if isinstance(value, float) else meaning(value)
    if duration_s is None:
        raise click.BadParameter(f"{value!r} is not a duration such as 90, 250ms, 5m, 12h or 7d.")
    if duration_s > LONGEST_S:
        raise TooLongError(f"{value!r} is longer than 100 years, the longest duration.")
    return duration_s


class TooLongError(click.BadParameter):
    """A duration is longer than there may be any."""


def moment(value: str) -> datetime:
    """Return the moment `2026-12-01T08:00` (local time, unless it says), or so long ago: `2h`.

    Raises:
        BadParameter: It is neither.
    """
    try:
        return datetime.fromisoformat(value).astimezone()
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.now(UTC) - timedelta(seconds=duration(value))
    except TooLongError:
        raise
    except (click.BadParameter, OverflowError):
        raise click.BadParameter(
            f"{value!r} is not a moment such as 2026-12-01T08:00, nor a time such as 90, 5m or 2h."
        ) from None


def rate(value: str) -> tuple[int, float] | str:
    """Return the number and the window in seconds of `10/s`, `100/m` or `5/30s`; or `none`.

    Raises:
        BadParameter: It is none of these.
    """
    if value == NONE:
        return NONE
    match = re.fullmatch(r"(\d+)\s*/\s*([\d.]*\s*[a-z]+)", value)
    try:
        if match is None or int(match[1]) < 1:
            raise click.BadParameter(value)
        window_s = duration(match[2] if match[2][0].isdigit() else f"1{match[2]}")
        if window_s <= 0:
            raise click.BadParameter(value)
    except TooLongError:
        raise
    except click.BadParameter:
        raise click.BadParameter(
            f"{value!r} is not a rate such as 10/s, 100/m, 5/30s or none."
        ) from None
    return int(match[1]), window_s


def limit(value: str) -> int | str:
    """Return a number from 1; or `none`.

    Raises:
        BadParameter: It is neither.
    """
    if value == NONE:
        return NONE
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"{value!r} is not a number from 1, or none.")
    return int(value)


def priority(value: str) -> int:
    """Return the number of `urgent`, `high`, `normal`, `low` or of a number; 0 is none.

    Raises:
        BadParameter: It is no priority.
    """
    from toril.engine.options import MAX_PRIORITY, Priority

    if value.upper() in Priority.__members__:
        return int(Priority[value.upper()])
    if not value.isdecimal() or int(value) > MAX_PRIORITY:
        words = ", ".join(word.lower() for word in Priority.__members__)
        raise click.BadParameter(f"{value!r} is not one of {words}, or 0 to {MAX_PRIORITY}.")
    return int(value)


def url_option(command: F) -> F:
    """Add `--url`."""
    return click.option(
        "--url",
        metavar="URL",
        help="Where jobs live, such as sqlite:///toril.db. Default: TORIL_URL, toril.toml,"
        " ./toril.db.",
    )(command)


def json_option(command: F) -> F:
    """Add `--json`, given to the command as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def store_options(command: F) -> F:
    """Add what every command has that asks a store."""
    return url_option(server_option(json_option(command)))


def server_option(command: F) -> F:
    """Add `--server`, which `access.ask` reads; the command itself is not given it."""
    return click.option(
        "--server",
        metavar="URL",
        envvar="TORIL_SERVER",
        expose_value=False,
        callback=_remember_server,
        help="Ask a server (toril serve) in place of the store: http://host:3030. TORIL_KEY is its"
        " key. Default: TORIL_SERVER.",
    )(command)


def _remember_server(context: click.Context, option: click.Parameter, url: str | None) -> None:
    if url:
        if not re.match(r"https?://[^/]", url):
            raise click.BadParameter(f"{url!r} is not a URL such as http://localhost:3030.")
        context.meta[SERVER] = url
        source = context.get_parameter_source(option.name or "")
        context.meta[SERVER_IS_DEFAULT] = source is click.core.ParameterSource.ENVIRONMENT


def yes_option(command: F) -> F:
    """Add `--yes`."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask whether to go on.")(command)


def confirm(question: str, *, yes: bool) -> None:
    """Ask whether to go on, on a terminal; elsewhere `--yes` has to be given.

    Raises:
        UsageError: There is nobody to ask.
        Abort: The answer was no.
    """
    from toril.cli.harmless import printable

    if yes:
        return
    question = printable(question)
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody can be asked here: give --yes.")
    click.confirm(question, abort=True, err=True)
