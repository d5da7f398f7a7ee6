"""`python -m benchmarks.compare BASE`: is Toril faster here than at another commit, or slower?

The benchmark's own code is that of the working tree on both sides; what differs is the package.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from benchmarks.base_commit import BaseError, Installed, commit_of, installed
from benchmarks.comparison import Side, in_words, measured, measured_in_turn
from benchmarks.isolated import MeasurementError
from benchmarks.machine import describe
from benchmarks.order import Order, Store, Values
from benchmarks.plan import Planner
from benchmarks.rows import Group
from benchmarks.sizes import FULL, Sizes
from benchmarks.storage import find_storage
from benchmarks.stores import MissingServerError

SHORT_LIST = ("add-alone", "add-concurrent", "add-bulk", "process-1", "process-100", "pickup-one")
ROUNDS = 5
SIZES = replace(
    FULL,
    add_bulk=50_000,
    # The pool of processes and that of threads have figures of their own: `make bench`.
    process={key: jobs // 2 for key, jobs in FULL.process.items() if key[0] == "loop"},
    pick_up=600,
    pick_up_warm_up=100,
)
"""Less of each than for the table: what counts here is many rounds."""
TRIAL = 0.02
"""A share of the jobs, with which each measurement is tried at the base."""
STORES: dict[str, list[Store]] = {
    "sqlite": ["sqlite"],
    "redis": ["redis"],
    "both": ["sqlite", "redis"],
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and print. Returns the exit code: 1 if a measurement failed, 2 for what cannot be."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.rounds < 1:
        parser.error(f"--rounds {given.rounds}: expected 1 or more")
    try:
        commit = commit_of(given.base)
        groups = _groups(given, SIZES)
        stores = list(dict.fromkeys(group.section.store for group in groups))
        storage = find_storage(given.directory)
        machine = describe(storage, stores, peers=False)
        _tell(f"installing {given.base} and the working tree, each in a folder of its own")
        with installed(commit) as both:
            groups, left_out = _possible(groups, both, storage.folder, given)
            sides: dict[Side, str] = {"base": both.base, "here": both.here}

            def measure(side: Side, order: Order) -> Values:
                return measured(order, storage.folder, sides[side])

            orders = [order for group in groups for order in group.orders]
            found = measured_in_turn(orders, rounds=given.rounds, measure=measure, tell=_tell)
    except (BaseError, MissingServerError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        _tell("interrupted; everything was put away")
        return 130
    print("\n".join(machine.lines_without_peers()))
    rounds = "1 round" if given.rounds == 1 else f"{given.rounds} rounds"
    print(f"* How: {rounds} of base, here, here, base; durability `full`; ratios within a round\n")
    print(in_words(groups, found, base=f"{given.base} ({both.commit})", here="the working tree"))
    for line in left_out:
        print(f"\n{line}")
    return 1 if any(one.trouble for one in found) else 0


def _groups(given: argparse.Namespace, sizes: Sizes) -> list[Group]:
    sizes = replace(sizes, scale=given.jobs_scale * sizes.scale)
    planner = Planner(sizes=sizes, peers=[], memory_bytes=0)
    return planner.groups(STORES[given.store], ["full"], given.only)


def _possible(
    groups: Sequence[Group], both: Installed, folder: Path, given: argparse.Namespace
) -> tuple[list[Group], list[str]]:
    """Return the groups that the base can do, and a sentence for each that it cannot.

    Raises:
        BaseError: It can do none.
    """
    few = _groups(given, replace(SIZES, scale=TRIAL))
    possible, left_out = [], []
    for group, trial in zip(groups, few, strict=True):
        try:
            for order in trial.orders:
                measured(order, folder, both.base)
        except MeasurementError as error:
            why = str(error).splitlines()[-1].strip().partition(" (/")[0]  # no path of its own
            left_out.append(
                f"{given.base} is too old for {group.name} on {group.section.store}, or fails at"
                f" it, so that is left out: {why}"
            )
            _tell(left_out[-1])
        else:
            possible.append(group)
    if not possible:
        raise BaseError(f"{given.base} is too old for all of this benchmark: {why}")
    return possible, left_out


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description="Measure Toril at another commit and in the working tree, in turn, and print"
        " how they compare.",
    )
    parser.add_argument("base", metavar="BASE", help="a hash, a branch, a tag, HEAD~3")
    parser.add_argument(
        "--rounds",
        type=int,
        default=ROUNDS,
        metavar="N",
        help=f"each measures both twice; default: {ROUNDS}",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=list(SHORT_LIST),
        metavar="NAME",
        help=f"default: {', '.join(SHORT_LIST)}; all names of `make bench` will do",
    )
    parser.add_argument("--store", choices=list(STORES), default="both")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="where stores are made")
    parser.add_argument("--jobs-scale", type=float, default=1.0, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
