"""`toril doctor`: looks the installation and the store over, says what to do, and mends."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Sequence

import click

from toril.app import App
from toril.cli.access import ask, server_of_command
from toril.cli.codes import DONE, ERROR, USAGE, RefusedError
from toril.cli.options import confirm, store_options, yes_option
from toril.cli.output import BAD, GOOD, WARN, Cell, Output, as_data, plural, printable, write
from toril.core.priority_scale import RAW_TEXT, is_raw
from toril.engine.contract.lifecycle import Finding, Health, Repair
from toril.settings import misspelt
from toril.version import VERSION

MARKS = {"ok": ("✓", GOOD), "warning": ("!", WARN), "error": ("✗", BAD)}

EXTRAS = {
    "redis": "hiredis",
    "uvloop": "uvloop",
    "reload": "watchfiles",
    "media": "PIL",
    "pydantic": "pydantic",
}
"""Extra to a module that it brings."""


@click.command()
@click.option(
    "--repair", is_flag=True, help="Mend what can be mended, having shown it and asked first."
)
@yes_option
@store_options
def doctor(repair: bool, yes: bool, url: str | None, as_json: bool) -> int:
    """Look the installation and the store over; mend the store if asked to.

    Without --repair nothing is changed. With it the acts are shown first; nothing is changed until
    the answer is yes, or --yes was given. Where nobody can be asked it ends there, with 2.

    With --server it is the server's installation and store. --repair needs the store itself.

    Ends with 1 if something is an error, after a repair if something still is; warnings are not.
    """
    if yes and not repair:
        raise click.UsageError("--yes belongs to --repair.")
    server = server_of_command(url)
    if repair and server is not None:
        raise RefusedError(
            f"--repair needs the store itself, not {server}: run it where the store is, with --url",
            USAGE,
        )
    output = Output(as_json=as_json)
    installation = [] if server is not None else _installation()
    health = ask(url, lambda app: app.check())
    _tell(output, [*installation, *health.findings])
    plan, done = health.repairs, None
    if repair and plan:
        try:
            _ask_whether(plan, yes=yes, as_json=as_json)
        except (click.UsageError, click.Abort):
            if as_json:
                output.document(_facts([*installation, *health.findings], plan, None))
            raise
        done, health = ask(url, lambda app: _mend(app, plan))
        _tell_done(output, plan, done, health)
    elif repair:
        output.say("There is nothing to repair.")
    if as_json:
        output.document(_facts([*installation, *health.findings], plan, done))
    return DONE if health.ok else ERROR


async def _mend(app: App, plan: Sequence[Repair]) -> tuple[list[Repair], Health]:
    return await app.repair(plan), await app.check()


def _facts(
    found: list[Finding], plan: list[Repair], done: list[Repair] | None
) -> dict[str, object]:
    return {
        "ok": not _errors(found),
        "findings": as_data(found),
        "repairs": [_act(repair) for repair in plan],
        "repaired": None if done is None else [_act(repair) for repair in done],
    }


def _act(repair: Repair) -> dict[str, object]:
    return {**as_data(repair), "text": repair.text}


def _errors(found: Sequence[Finding]) -> int:
    return sum(finding.grade == "error" for finding in found)


def _tell(output: Output, found: Sequence[Finding]) -> None:
    for finding in found:
        mark, style = MARKS[finding.grade]
        output.say([Cell(mark, style), f" {finding.subject}: {finding.text}"])
    errors, warnings = _errors(found), sum(finding.grade == "warning" for finding in found)
    verdict = "All is well."
    if errors or warnings:
        verdict = f"{plural(errors, 'error')}, {plural(warnings, 'warning')}."
    output.say(verdict)


def _ask_whether(plan: Sequence[Repair], *, yes: bool, as_json: bool) -> None:
    """Show the acts and ask whether to do them. With JSON they are shown to whoever is asked.

    Raises:
        UsageError: There is nobody to ask.
        Abort: The answer was no.
    """
    if not (as_json and yes):
        write("\nA repair would:", err=as_json)
        for repair in plan:
            write(f"  {printable(repair.text)}", err=as_json)
    confirm(f"Do {plural(len(plan), 'repair')}? Nothing was changed so far.", yes=yes)


def _tell_done(
    output: Output, plan: Sequence[Repair], done: Sequence[Repair], health: Health
) -> None:
    output.say()
    output.say("Done:" if done else "Nothing was left to do.")
    for repair in done:
        output.say([Cell("✓", GOOD), f" {repair.text}"])
    left = _jobs(plan) - _jobs(done)
    if left > 0:
        output.say(f"{plural(left, 'job')} had moved meanwhile, and needed none of it.")
    output.say()
    output.say("A second look:")
    _tell(output, [finding for finding in health.findings if finding.grade != "ok"])
    if health.repairs:
        output.say("There is more to repair: run it again.", WARN)


def _jobs(repairs: Sequence[Repair]) -> int:
    return sum(len(repair.job_ids) for repair in repairs)


def _installation() -> list[Finding]:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    there = [extra for extra, name in EXTRAS.items() if importlib.util.find_spec(name)]
    extras = ", ".join(there) or "none"
    found = [
        Finding("toril", "ok", f"{VERSION} on {python}, {platform.system()}"),
        Finding("extras", "ok", f"installed: {extras}"),
    ]
    found += [Finding("environment", "warning", sentence) for sentence in misspelt()]
    if is_raw(os.environ):
        found.append(Finding("priorities", "warning", RAW_TEXT))
    return found
