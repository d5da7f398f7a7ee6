"""The command: reads the options, has everything measured, prints the table."""

from __future__ import annotations

import argparse
import importlib.util
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import msgspec

from benchmarks import document
from benchmarks.figures import figures_of
from benchmarks.machine import available_bytes, describe
from benchmarks.order import Durability, Peer, Store
from benchmarks.plan import Planner, chooses
from benchmarks.python_peers import PYTHON_PEERS, find_python_peers, on_store
from benchmarks.python_plan import ON_POSTGRESQL
from benchmarks.runs import run_groups
from benchmarks.sections import PEERS
from benchmarks.sizes import FULL, QUICK, Sizes
from benchmarks.storage import find_storage
from benchmarks.stores import MissingServerError, postgresql_in_words
from benchmarks.table import report

RUNS = 5
QUICK_RUNS = 1
QUICK_GROUPS = (
    *("add-alone", "add-concurrent", "add-bulk", "process-1", "process-100", "pickup-one"),
    "stored",
)
"""The most telling, which `--quick` measures where no names are given."""
STORES: dict[str, list[Store]] = {
    "sqlite": ["sqlite"],
    "redis": ["redis"],
    "postgresql": ["postgresql"],
    "both": ["sqlite", "redis"],
    "all": ["sqlite", "redis", "postgresql"],
}
DURABILITIES: dict[str, list[Durability]] = {
    "full": ["full"],
    "normal": ["normal"],
    "both": ["full", "normal"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for."""

    quick: bool
    narrowed: bool
    """Whether only the most telling groups are measured."""
    runs: int
    seed: int
    only: Sequence[str]
    stores: Sequence[Store]
    durabilities: Sequence[Durability]
    folder: Path | None
    json: Path | None
    document: Path | None
    jobs_scale: float
    peers: Sequence[Peer]

    @property
    def sizes(self) -> Sizes:
        """Jobs of each measurement."""
        return replace(QUICK if self.quick else FULL, scale=self.jobs_scale)

    @property
    def how(self) -> str:
        """A sentence on runs and sizes, for the report."""
        runs = "one run" if self.runs == 1 else f"medians of {self.runs} runs (least to most)"
        text = (
            f"{runs}, each in a fresh process on a fresh store, the peers in turn, run by run in"
            f" random order (seed {self.seed})"
        )
        if self.quick:
            text += "; the quick form, with few jobs: an impression, not for quoting"
        if self.jobs_scale != 1:
            text += f"; {self.jobs_scale:g} × the usual jobs: nothing but a trial of the program"
        return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit code: 1 if a measurement failed, 2 for bad options."""
    parser = _parser()
    options = _options(parser, arguments)
    storage = find_storage(options.folder)
    try:
        wanted, without = _stores(options, storage.folder)
        machine = describe(storage, wanted)
        planner = Planner(
            sizes=options.sizes,
            peers=[peer for peer in machine.peers if peer in options.peers],
            python_peers=[peer for peer in options.peers if peer in PYTHON_PEERS],
            memory_bytes=available_bytes(),
        )
        groups = planner.groups(wanted, options.durabilities, options.only)
        stores = list(dict.fromkeys(group.section.store for group in groups))
        if options.document is not None:
            document.check(options.document, stores)
    except MissingServerError as error:
        parser.error(f"{error}; without a server there is --store sqlite")
    except ValueError as error:
        parser.error(str(error))
    # Only now, since it may have to make environments, and only for those that have a turn.
    taking_turns = {order.peer for group in groups for order in group.orders}
    versions = find_python_peers(peer for peer in PYTHON_PEERS if peer in taking_turns)
    planner = replace(planner, python_peers=list(versions))
    groups = planner.groups(wanted, options.durabilities, options.only)
    begin_s = time.monotonic()
    try:
        found = run_groups(
            groups, runs=options.runs, seed=options.seed, folder=storage.folder, tell=_tell
        )
    except KeyboardInterrupt:
        _tell("interrupted; nothing was written")
        return 130
    figures = figures_of(found)
    how = options.how
    if options.narrowed:
        all_names = {g.name: None for g in planner.groups(wanted, options.durabilities, [])}
        left_out = [name for name in all_names if name not in QUICK_GROUPS]
        how += f"; left out: {', '.join(left_out)}"
    asked = [peer for peer in options.peers if peer in taking_turns or peer not in PYTHON_PEERS]
    reports = {
        store: report(machine, figures, store, how=how, asked=asked, versions=versions)
        for store in stores
    }
    print("\n".join(reports.values()), end="")
    if without:
        print(f"\n{without}")
    _tell(f"took {(time.monotonic() - begin_s) / 60:.1f} minutes")
    if options.json is not None:
        content = {"machine": machine, "python_peers": versions, "how": how, "figures": figures}
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
    if options.document is not None:
        from benchmarks.plot import draw  # takes a second to import, and is not always there

        for store, text in reports.items():
            picture = options.document.with_name(f"{options.document.stem}-{store}.svg")
            image = draw(figures, store, picture)
            document.write(options.document, store, f"{image}\n\n{text}" if image else text)
    return 1 if any(group.failures for group in found) else 0


def _stores(options: Options, folder: Path) -> tuple[list[Store], str | None]:
    """Return the stores to measure, and a sentence on one that was asked for and is not here.

    PostgreSQL is looked for only where somebody has a turn on it: that may install it.

    Raises:
        MissingServerError: It was the only one.
        ValueError: Nobody is to have a turn on it, and it was the only one.
    """
    others: list[Store] = [store for store in options.stores if store != "postgresql"]
    if len(others) == len(options.stores):
        return others, None
    beside = [peer for peer in on_store("postgresql") if peer in options.peers]
    if not beside and not others:
        raise ValueError(
            f"--store postgresql: Toril has no such store, so it needs one of --peers"
            f" {' '.join(on_store('postgresql'))}"
        )
    if others and not (beside and chooses(options.only, ON_POSTGRESQL)):
        return others, None
    try:
        postgresql_in_words(folder)
    except MissingServerError as error:
        if not others:
            raise
        sentence = f"PostgreSQL is left out: {error}."
        _tell(sentence)
        return others, sentence
    return list(options.stores), None


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _options(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> Options:
    given = parser.parse_args(arguments)
    runs = given.runs if given.runs is not None else QUICK_RUNS if given.quick else RUNS
    if runs < 1:
        parser.error(f"--runs {runs}: expected 1 or more")
    if given.directory is not None and not given.directory.is_dir():
        parser.error(f"--directory {given.directory}: there is no such folder")
    if given.write is not None and importlib.util.find_spec("matplotlib") is None:
        parser.error("--write draws with matplotlib: pip install --group bench")
    narrowed = given.quick and not given.only
    return Options(
        quick=given.quick,
        narrowed=narrowed,
        runs=runs,
        seed=random.randrange(1_000_000) if given.seed is None else given.seed,
        only=QUICK_GROUPS if narrowed else given.only,
        stores=STORES[given.store],
        durabilities=DURABILITIES[given.durability or ("full" if narrowed else "both")],
        folder=given.directory,
        json=given.json,
        document=given.write,
        jobs_scale=given.jobs_scale,
        peers=_peers(given.peers, STORES[given.store], quick=given.quick),
    )


def _peers(names: Sequence[str], stores: Sequence[Store], *, quick: bool) -> list[Peer]:
    """Return those of the names; without any all, or in the quick form those of the columns.

    A store that has no columns has all its own then too.
    """
    if quick and not names and not any(PEERS[store] for store in stores):
        names = [peer for store in stores for peer in on_store(store)]
    everybody: list[Peer] = [peer for peer in get_args(Peer) if peer != "toril"]
    if "all" in names or not (names or quick):
        return everybody
    return [p for p in everybody if p in names or (not names and p not in PYTHON_PEERS)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Toril on this machine and print tables: beside Huey on SQLite, beside"
        " BullMQ and the queues for Python on Redis, beside those on PostgreSQL.",
    )
    parser.add_argument("--quick", action="store_true", help="an impression in about two minutes")
    parser.add_argument(
        "--runs", type=int, metavar="N", help=f"default: {RUNS}; with --quick {QUICK_RUNS}"
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="whence the order of the measurements is drawn; default: another each time",
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="add, process-100, pickup, claim, …"
    )
    parser.add_argument("--store", choices=list(STORES), default="all")
    parser.add_argument(
        "--durability",
        choices=list(DURABILITIES),
        help="of SQLite's file; default: both, with --quick full",
    )
    parser.add_argument(
        "--directory",
        type=Path,
        metavar="DIR",
        help="where stores are made; default: the temporary directory, if it is on a disk",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put tables and plots into a document"
    )
    parser.add_argument(
        "--peers",
        nargs="+",
        default=[],
        choices=["all", *(peer for peer in get_args(Peer) if peer != "toril")],
        metavar="NAME",
        help="beside whom: %(choices)s; default: all, with --quick huey and BullMQ",
    )
    parser.add_argument("--jobs-scale", type=float, default=1.0, help=argparse.SUPPRESS)
    return parser
