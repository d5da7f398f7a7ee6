"""`make bench-web`: fills a store, has its server answer, and prints what that took.

`ARGS="--jobs 100000 --store redis"` makes it smaller. No thresholds: the table says what was meant.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.order import Store
from benchmarks.storage import find_storage
from benchmarks.stores import fresh_store
from benchmarks.web.pages import measure_pages
from benchmarks.web.store import LONG, Calls, Counters, child, fill, letter, serving
from benchmarks.web.wire import Answer, Wire
from benchmarks.web.worker import BROKEN, BUSY

V1 = "/api/v1"
STORES: dict[str, list[Store]] = {
    "sqlite": ["sqlite"], "redis": ["redis"], "both": ["sqlite", "redis"],
}  # fmt: skip
PLACES = 10
"""Places in the line at which a list is read."""
TIMES = 20
LOOK_S = 0.05


class Report:
    """Rows of a table, printed as they come."""

    def __init__(self, title: str) -> None:
        print(f"\n**{title}**\n\n| | measured | meant |\n|---|---|---|", flush=True)

    def row(self, what: str, measured: str, meant: str = "") -> None:
        """Print a row."""
        print(f"| {what} | {measured} | {meant} |", flush=True)

    def times(self, what: str, took_s: Sequence[float], meant: str) -> None:
        """Print a row of times."""
        self.row(what, f"{median(took_s) * 1000:.1f} ms (to {max(took_s) * 1000:.1f})", meant)

    def calls(self, what: str, calls: Calls) -> None:
        """Print a row of the longest call."""
        longest = f"{calls.longest_ms:.1f} ms {calls.name}" if calls.longest_ms else "below 0.5 ms"
        self.row(f"… longest call of the store, {what}", longest, "≤ 10 ms")


async def measure(url: str, options: argparse.Namespace, report: Report) -> None:
    """Fill a store and measure its server."""
    begin_s = time.perf_counter()
    key = await fill(url, jobs=options.jobs, queues=options.queues)
    report.row(
        f"{options.jobs:,} jobs in {options.queues} queues",
        f"filled in {time.perf_counter() - begin_s:.0f} s",
    )
    async with serving("server", url) as server:
        wire = await Wire.open(server, key)
        counters = Counters(url, server)
        await counters.since()
        await _reads(wire, counters, report)
        wire.close()
        await _streams(server, key, counters, options.watched_s, report)
        await measure_pages(server, key, url, counters, options.watched_s, report)
        wire = await Wire.open(server, key)  # the other would have been idle for too long
        async with child("worker", url, BUSY):
            await _retry(wire, counters, report, options.jobs // 10)
        await _submits(server, key, f"{V1}/queues/new/jobs", "submits", options, report)
        wire.close()
    if not url.startswith("sqlite"):
        async with serving("peer", url) as server:
            await _submits(server, "", "/push", "FastAPI with a bare push", options, report)


async def _reads(wire: Wire, counters: Counters, report: Report) -> None:
    overview = [(await wire.ask("GET", f"{V1}/overview")).took_s for _ in range(TIMES)]
    report.times("overview", overview, "≤ 80 ms")
    report.calls("overview", await counters.since())
    listed: list[float] = []
    worst = Calls(0, 0.0, "")
    for order in ("false", "true"):
        path = f"{V1}/queues/{LONG}/jobs?state=wait&newest_first={order}"
        after: str | None = ""
        place = 0
        while after is not None:
            if _is_measured(place):
                await counters.since()
                page: Answer = await wire.ask("GET", f"{path}&limit=50{after}")
                listed.append(page.took_s)
                worst = max(worst, await counters.since(), key=lambda calls: calls.longest_ms)
            found = (await wire.ask("GET", f"{path}&limit=1000&fields=id{after}")).json["next"]
            after = None if found is None else f"&after={found}"
            place += 1000
    report.times("list of 50, anywhere in the line", listed, "≤ 25 ms")
    report.calls("list", worst)


def _is_measured(place: int) -> bool:
    """Whether a list is measured there: more often near the ends."""
    return place <= PLACES * 1000 or place % 10_000 == 0


async def _streams(
    server: str, key: str, counters: Counters, watched_s: float, report: Report
) -> None:
    found = []
    for many in (1, 50):
        wires = [await Wire.open(server, key) for _ in range(many)]
        for wire in wires:
            await wire.follow(f"{V1}/stream?topics=overview,queue:{LONG}")
        await counters.since()
        await asyncio.sleep(watched_s)
        found.append((await counters.since()).many)
        for wire in wires:
            wire.close()
    what = f"calls of the store in {watched_s:g} s, 1 stream and 50"
    report.row(what, f"{found[0]:,} and {found[1]:,}", "the same")


async def _retry(wire: Wire, counters: Counters, report: Report, failed: int) -> None:
    await _until_worked(wire)
    before, begin_s = await _worked(wire), time.perf_counter()
    await counters.since()
    body = {"action": "retry", "query": f"queue:{BROKEN} state:failed", "reason": "bench"}
    begun = await wire.ask("POST", f"{V1}/operations", body)
    path = f"{V1}/operations/{begun.json['id']}"
    while (info := (await wire.ask("GET", path)).json)["state"] == "running":
        await asyncio.sleep(LOOK_S)
    took_s = time.perf_counter() - begin_s
    rate = (await _worked(wire) - before) / took_s
    report.row(f"retry of {failed:,}: acknowledged", f"{begun.took_s * 1000:.1f} ms", "≤ 100 ms")
    report.row(
        f"… {info['state']}, {info['done']:,} changed; a worker did {rate:,.0f} jobs/s meanwhile",
        f"{took_s:.1f} s",
        "≤ 20 s for 100,000",
    )
    report.calls("retry", await counters.since())


async def _worked(wire: Wire) -> int:
    answer = await wire.ask("GET", f"{V1}/queues/{BUSY}")
    return int(answer.json["queue"]["completed_total"])


async def _until_worked(wire: Wire) -> None:
    while not await _worked(wire):
        await asyncio.sleep(LOOK_S)


async def _submits(
    server: str, key: str, path: str, what: str, options: argparse.Namespace, report: Report
) -> None:
    wires = [await Wire.open(server, key) for _ in range(options.connections)]
    until_s = time.perf_counter() + options.seconds
    done = 0

    async def submit(wire: Wire) -> None:
        nonlocal done
        while time.perf_counter() < until_s:
            await wire.ask("POST", path, {"name": "send", "data": letter(done)})
            done += 1

    begin_s = time.perf_counter()
    await asyncio.gather(*map(submit, wires))
    rate = done / (time.perf_counter() - begin_s)
    for wire in wires:
        wire.close()
    report.row(f"{what}, {options.connections} connections", f"{rate:,.0f}/s")


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(prog="make bench-web", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--queues", type=int, default=300)
    parser.add_argument("--store", choices=STORES, default="both")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0, help="How long jobs are submitted.")
    parser.add_argument(
        "--watched-s", type=float, default=10.0, help="How long streams are watched."
    )
    options = parser.parse_args()
    if options.jobs < 1000 or options.queues < 4:
        parser.error("expected --jobs of 1000 or more, and --queues of 4 or more")
    storage = find_storage(None)
    print(f"Storage: {storage}")
    for store in STORES[options.store]:
        with tempfile.TemporaryDirectory(prefix="toril-web-", dir=storage.folder) as folder:
            with fresh_store(store, Path(folder)) as where:
                url = where if store == "redis" else f"sqlite:///{where}/toril.db"
                asyncio.run(measure(url, options, Report(f"{store}, {options.jobs:,} jobs")))


if __name__ == "__main__":
    main()
