"""`toril new`: writes the files of a new application, of a queue in one, or of a type of jobs."""

from __future__ import annotations

from pathlib import Path

import click

from toril.cli.main import SuggestingGroup
from toril.cli.output import WARN, Output


@click.group(cls=SuggestingGroup)
def new() -> None:
    """Start an application with typed queues; add a queue, or a type of jobs."""


@new.command("app")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def new_app(name: str, as_json: bool) -> None:
    """Start an application in a new folder: queues, API, worker, tests, Dockerfile, units."""
    from toril.cli.new_project import write_app
    from toril.core.extras import Source, installed_from

    source = installed_from()
    made = write_app(Path.cwd(), name, source or Source(url=None))
    output = Output(as_json=as_json)
    if as_json:
        output.document({"folder": name, "written": made, "changed": []})
        return
    output.say(f"{len(made)} files are in {name}.")
    if source is None:
        output.say(
            "The folder that Toril was installed from is gone: in dependencies of"
            f" {name}/pyproject.toml, say where Toril is ('toril[redis,web] @ file:///…').",
            WARN,
        )
    output.say("Go on with:")
    output.say(f"  cd {name}")
    output.say("  python3 -m venv .venv && .venv/bin/pip install '.[dev]'")
    output.say("  .venv/bin/python -m pytest")


@new.command("queue")
@click.argument("name")
@click.option(
    "--profile",
    type=click.Choice(["light", "medium", "heavy"]),
    default="light",
    show_default=True,
    help="Which workers serve it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def new_queue(name: str, profile: str, as_json: bool) -> None:
    """Add a queue to the application in this folder: its files, and a line in both registries."""
    from toril.cli.new_project import write_queue

    _tell(Output(as_json=as_json), *write_queue(Path.cwd(), name, profile))


@new.command("job-type")
@click.argument("name")
@click.option("--queue", default="jobs", show_default=True, help="Which queue has these jobs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def new_job_type(name: str, queue: str, as_json: bool) -> None:
    """Add a type of jobs to one queue of several types: its task, its test, a line in the list."""
    from toril.cli.new_project import write_job_type

    _tell(Output(as_json=as_json), *write_job_type(Path.cwd(), name, queue))


def _tell(output: Output, made: list[str], changed: list[str]) -> None:
    if output.as_json:
        output.document({"folder": ".", "written": made, "changed": changed})
        return
    for path in made:
        output.say(f"written  {path}")
    for path in changed:
        output.say(f"changed  {path}")
