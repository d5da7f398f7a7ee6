"""What a running task can say: progress that others follow, and lines in its job's log.

Run:
    python examples/progress_and_logs.py

Prints:
    progress 25
    progress 50
    progress 75
    progress 100
    result {'rows': 400}
    log: page 1 of 4, page 2 of 4, page 3 of 4, page 4 of 4
"""

import asyncio
import json

from toril import App, Context, EventName

app = App("sqlite://:memory:")


@app.task(queue="exports")
def export(context: Context, pages: int) -> dict[str, int]:
    rows = 0
    for page in range(1, pages + 1):
        rows += 100
        context.log(f"page {page} of {pages}")
        context.progress(100 * page // pages)
    return {"rows": rows}


async def main() -> None:
    async with app, app.worker():
        job = await export.enqueue(pages=4)

        # Any process can follow: a web page that shows a bar, or `toril events exports`.
        async for event in app.queue("exports").events(after=0):
            if event.name == EventName.PROGRESS:
                print("progress", json.loads(event.fields["data"]))
            if event.name == EventName.COMPLETED:
                break

        print("result", await job.result(timeout_s=10))
        print("log:", ", ".join(await job.logs()))


if __name__ == "__main__":
    asyncio.run(main())
