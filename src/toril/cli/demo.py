"""`toril demo`: runs real photographs through a worker, and prints a summary."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toril.cli.codes import DONE, ERROR, INTERRUPTED, USAGE, RefusedError
from toril.cli.options import duration, json_option
from toril.cli.output import (
    BAD,
    DIM,
    GOOD,
    HEAD,
    WARN,
    Cell,
    Column,
    Output,
    as_data,
    is_terminal,
    plural,
    short_bytes,
    stdout_console,
)

if TYPE_CHECKING:
    from toril.cli.demo_folder import DemoFolder, Found
    from toril.cli.demo_run import DemoRun, Fate

EACH_LISTED = 30
"""Up to so many files each has a line; of more there are only figures, and the failures."""
FAILURES_SHOWN = 20
UNWATCHED_S = 3.0
"""How long the dashboard stays where nobody sits at a terminal, to end what it is part of."""

COLUMNS = (
    Column("FILE", cut=True),
    Column("BEFORE", right=True),
    Column("AFTER", right=True),
    Column("FILES", right=True),
    Column("RESULT", wrap=True),
)


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", "target", type=click.Path(path_type=Path), default=Path("toril-demo"),
    show_default=True, help="Where everything goes.",
)  # fmt: skip
@click.option(
    "--entity-type", default="default", show_default=True, help="Which sizes: default, user_avatar,"
    " company_photo.",
)  # fmt: skip
@click.option(
    "--processes", type=click.IntRange(min=1), help="Photographs at once. Default: one per core."
)
@click.option(
    "--engine", type=click.Choice(["pillow", "vips"]), default="pillow", show_default=True,
    help="What decodes and resizes. vips is libvips, and faster.",
)  # fmt: skip
@click.option("--keep", is_flag=True, help="Keep what earlier runs left in the output folder.")
@click.option(
    "--stay", type=duration, metavar="TIME", help="How long the dashboard stays. Default: until"
    " Ctrl-C in a terminal, else 3s; 0 for none.",
)  # fmt: skip
@json_option
def demo(
    folder: Path | None,
    target: Path,
    entity_type: str,
    processes: int | None,
    engine: str,
    keep: bool,
    stay: float | None,
    as_json: bool,
) -> int:
    """Put photographs through the image queue and show what comes out.

    FOLDER is a folder of your own photographs, taken with all its folders; they are copied, never
    touched. Without it: six that come along, and three bad files that have to be refused.

    Then the dashboard shows them, beside the queues of a shop at work: orders, mails, films, and
    what goes wrong there. It prints a link that signs you in, and stays until Ctrl-C.
    """
    _check_extra(engine)
    from toril.cli.demo_folder import DemoFolder, find_photos, shipped
    from toril.cli.demo_run import DemoRun, cores
    from toril.cli.logs import set_up

    _check_entity_type(entity_type)
    place = DemoFolder(target, engine=engine)
    found = None if folder is None else find_photos(folder, target)
    processes = processes or cores()
    output = Output(as_json=as_json)
    set_up("text", "critical", with_pid=False)  # it tells of failures itself

    async def work(found: Found) -> DemoRun:
        with _progress(output, len(found.photos)) as told:
            run = DemoRun(place, entity_type=entity_type, processes=processes, told=told)
            await run.run(found.photos)
        return run

    with place.held(keep=keep):
        if found is None:
            found = shipped(place)
        output.say(f"{plural(len(found.photos), 'file')}; {processes} at once")
        run = asyncio.run(work(found))
        if run.interrupted:
            output.say(f"Interrupted: {len(run.fates)} of {len(found.photos)} were done.", WARN)
            return INTERRUPTED
        place.remove_uploads()
    if as_json:
        output.document(_facts(place, run, found))
    else:
        _report(output, place, run, found)
        _show(output, place, stay)
    return DONE if all(_as_expected(fate) for fate in run.fates) else ERROR


def _check_extra(engine: str) -> None:
    needed = [("PIL", "media"), ("sqlalchemy", "media")]
    if engine == "vips":
        needed.append(("pyvips", "vips"))
    for library, extra in needed:
        if importlib.util.find_spec(library) is None:
            from toril.core.extras import how_to_install

            what = "Pillow and SQLAlchemy" if extra == "media" else "libvips for --engine vips"
            raise RefusedError(f"the demo needs {what}: {how_to_install(extra)}")


def _check_entity_type(entity_type: str) -> None:
    from toril.core.checks import unknown
    from toril.library.images.presets import Presets

    known = Presets.shipped().by_entity
    if entity_type not in known:
        raise RefusedError(f"--entity-type: {unknown('entity type', entity_type, known)}", USAGE)


def _as_expected(fate: Fate) -> bool:
    return (fate.result is None) == fate.photo.planted


@contextmanager
def _progress(output: Output, total: int) -> Iterator[Callable[[Fate], None]]:
    """Show how far it is: a bar on a terminal, lines elsewhere, nothing with `--json`."""
    if output.as_json:
        yield lambda fate: None
    elif is_terminal(sys.stdout):
        with _bar(total) as told:
            yield told
    else:
        yield _Lines(output, total)


class _Lines:
    """A line for each file, or for each tenth of many."""

    def __init__(self, output: Output, total: int) -> None:
        self._output = output
        self._total = total
        self._done = 0
        self._step = 1 if total <= EACH_LISTED else -(-total // 10)

    def __call__(self, fate: Fate) -> None:
        self._done += 1
        if self._step == 1:
            end = _reason(fate) or f"{plural(len(_variants(fate)), 'file')}"
            self._output.say(f"{self._done}/{self._total} {fate.photo.name}: {end}")
        elif self._done % self._step == 0 or self._done == self._total:
            self._output.say(f"{self._done}/{self._total} done")


@contextmanager
def _bar(total: int) -> Iterator[Callable[[Fate], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    progress = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TextColumn("{task.fields[failures]}", style=BAD),
        TimeElapsedColumn(),
        console=stdout_console(),
        transient=True,
    )
    bar = progress.add_task("", total=total, speed="", failures="")
    failures = 0

    def told(fate: Fate) -> None:
        nonlocal failures
        failures += fate.result is None
        speed = progress.tasks[0].speed
        progress.update(
            bar,
            advance=1,
            speed="" if speed is None else f"{speed:.1f}/s",
            failures=f"{failures} refused" if failures else "",
        )

    with progress:
        yield told


def _report(output: Output, place: DemoFolder, run: DemoRun, found: Found) -> None:
    fates = sorted(run.fates, key=lambda fate: fate.photo.name)
    good = [fate for fate in fates if fate.result is not None]
    bad = [fate for fate in fates if fate.result is None]
    if len(fates) <= EACH_LISTED:
        output.table(COLUMNS, [_row(fate) for fate in fates])
    else:
        for fate in bad[:FAILURES_SHOWN]:
            output.say(f"{fate.photo.name}: {_reason(fate)}", BAD)
        if len(bad) > FAILURES_SHOWN:
            output.say(f"and {len(bad) - FAILURES_SHOWN} more", BAD)
    output.say()
    before, after = sum(fate.bytes_in for fate in good), sum(fate.bytes_out for fate in good)
    made = sum(len(_variants(fate)) for fate in good)
    speed = len(fates) / run.duration_s if run.duration_s else 0.0
    output.say(
        f"{plural(len(good), 'photograph')} became {plural(made, 'file')},"
        f" {short_bytes(before)} became {short_bytes(after)}.",
        HEAD,
    )
    output.say(f"{len(fates):,} jobs in {run.duration_s:.1f} s: {speed:.1f} a second.")
    if bad:
        planted = sum(fate.photo.planted for fate in bad)
        as_meant = ", as they should be" if planted == len(bad) else ""
        where = f": see {place.quarantine}{os.sep}" if place.quarantine.is_dir() else ""
        output.say(f"{plural(len(bad), 'file')} refused{as_meant}{where}", WARN)
    if found.passed_over:
        output.say(f"{plural(found.passed_over, 'picture')} of other kinds passed over.", WARN)
    output.say()
    url = shlex.quote(place.url)
    output.say(f"The pictures are in {place.public}{os.sep}", GOOD)
    output.say("What to try next:")
    failed = next((fate.job_id for fate in bad if fate.job_id), None)
    output.say(f"  toril jobs list media-processing --url {url}")
    if failed is not None:
        output.say(f"  toril jobs show media-processing {failed} --url {url}")
    output.say(f"  toril events media-processing --url {url}")
    output.say(f"  toril queues --url {url}")


def _show(output: Output, place: DemoFolder, stay_s: float | None) -> None:
    """Show the dashboard: until Ctrl-C where somebody sits at a terminal, else for a moment."""
    from toril.cli.demo_pages import can_show, show

    if stay_s is None and not (is_terminal(sys.stdout) and sys.stdin.isatty()):
        stay_s = UNWATCHED_S
    if stay_s != 0 and can_show():
        asyncio.run(show(place.url, output, stay_s=stay_s))


def _row(fate: Fate) -> list[str]:
    if fate.result is None:
        style = GOOD if fate.photo.planted else BAD
        return [fate.photo.name, short_bytes(fate.bytes_in), "", "", Cell(_reason(fate), style)]
    sizes = ", ".join(f"{each.width}x{each.height}" for each in fate.result.variants)
    return [
        fate.photo.name,
        short_bytes(fate.bytes_in),
        short_bytes(fate.bytes_out),
        str(len(fate.result.variants)),
        Cell(sizes, DIM),
    ]


def _variants(fate: Fate) -> list[Any]:
    return [] if fate.result is None else list(fate.result.variants)


def _reason(fate: Fate) -> str:
    """Return why it failed, without the name of the error's class and of the file."""
    reason = fate.reason or ""
    for known in ("UnusableInputError: ", f"image {fate.photo.path.name!r}: "):
        reason = reason.removeprefix(known)
    return reason


def _facts(place: DemoFolder, run: DemoRun, found: Found) -> dict[str, Any]:
    good = [fate for fate in run.fates if fate.result is not None]
    return {
        "output": str(place.root),
        "media_root": str(place.public),
        "url": place.url,
        "files_in": len(run.fates),
        "files_out": sum(len(_variants(fate)) for fate in good),
        "bytes_in": sum(fate.bytes_in for fate in good),
        "bytes_out": sum(fate.bytes_out for fate in good),
        "completed": len(good),
        "failed": len(run.fates) - len(good),
        "passed_over": found.passed_over,
        "duration_s": run.duration_s,
        "jobs_per_s": len(run.fates) / run.duration_s if run.duration_s else 0.0,
        "files": [
            {
                "file": fate.photo.name,
                "job_id": fate.job_id,
                "bytes": fate.bytes_in,
                "variants": as_data(_variants(fate)),
                "reason": _reason(fate) or None,
                "expected": _as_expected(fate),
            }
            for fate in sorted(run.fates, key=lambda fate: fate.photo.name)
        ],
    }
