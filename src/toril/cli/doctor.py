"""`toril doctor`: looks the installation and the store over, and says what to do."""

from __future__ import annotations

import importlib.util
import platform

import click

from toril.cli.access import ask
from toril.cli.codes import DONE, ERROR
from toril.cli.options import store_options
from toril.cli.output import BAD, GOOD, WARN, Output, as_data, plural, printable, styled
from toril.engine.contract.lifecycle import Finding
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
@store_options
def doctor(url: str | None, as_json: bool) -> int:
    """Look the installation and the store over; change nothing.

    Ends with 1 if something is an error; warnings are not.
    """
    output = Output(as_json=as_json)
    found = [*_installation(), *ask(url, lambda app: app.check()).findings]
    errors = sum(finding.grade == "error" for finding in found)
    warnings = sum(finding.grade == "warning" for finding in found)
    if as_json:
        output.document({"ok": not errors, "findings": as_data(found)})
        return ERROR if errors else DONE
    for finding in found:
        mark, style = MARKS[finding.grade]
        output.say(f"{styled(mark, style)} {printable(finding.subject)}: {printable(finding.text)}")
    verdict = "All is well."
    if errors or warnings:
        verdict = f"{plural(errors, 'error')}, {plural(warnings, 'warning')}."
    output.say(verdict)
    return ERROR if errors else DONE


def _installation() -> list[Finding]:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    there = [extra for extra, name in EXTRAS.items() if importlib.util.find_spec(name)]
    extras = ", ".join(there) or "none"
    return [
        Finding("toril", "ok", f"{VERSION} on {python}, {platform.system()}"),
        Finding("extras", "ok", f"installed: {extras}"),
    ]
