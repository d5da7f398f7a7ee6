"""Ready-made tasks: old files and old jobs are removed.

Run:
    python examples/cleanup.py

Prints:
    dry run: 2 files would go
    removed 2 files, 8 bytes; 1 stays: in use
    left: new.tmp, open.log
    jobs removed: {'mail': 3}
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path

from toril import App
from toril.library.cleanup import CleanedQueues, CleanupSettings
from toril.library.cleanup.tasks import cleanup

app = App("sqlite://:memory:")
app.include(cleanup)
HOUR_MS = 3_600_000


@app.task(queue="mail")
async def send(to: str) -> None: ...


async def main(folder: Path) -> None:
    app.provide(CleanupSettings(log_root=folder))
    app.provide(CleanedQueues(app, ["mail"]))
    for name in ("old.log", "older.log", "open.log", "new.tmp"):
        (folder / name).write_text("text")
        os.utime(folder / name, (time.time() - 7200 * (name != "new.tmp"),) * 2)
    await send.enqueue_many({"to": f"{name}@example.com"} for name in ("jo", "mo", "flo"))
    await app.worker().run(until_idle=True)

    run_cleanup, clean_jobs = app.find_task("run-cleanup"), app.find_task("clean-jobs")
    with (folder / "open.log").open("a"):  # some program is writing it
        old = {"target_type": "old_logs", "older_than": HOUR_MS}
        dry, wet = await run_cleanup.enqueue_many([{**old, "dry_run": True}, old])
        jobs = await clean_jobs.enqueue(state="completed", older_than=0)
        await app.worker(concurrency=1).run(until_idle=True)
    print(f"dry run: {(await dry.result()).removed} files would go")
    done = await wet.result()
    reasons = ", ".join(done.reasons)
    print(
        f"removed {done.removed} files, {done.freed_bytes} bytes; {done.skipped} stays: {reasons}"
    )
    print(f"left: {', '.join(sorted(os.listdir(folder)))}")
    print(f"jobs removed: {(await jobs.result()).removed}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(Path(temporary)))
