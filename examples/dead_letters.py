"""What failed for good: look at it, mend the cause, bring the job back.

Run:
    python examples/dead_letters.py

Prints:
    greet of mail failed: ConnectionError: the mail server is away
    attempts: retried, failed
    brought back: greeted ann
    brought back: greeted bo
"""

import asyncio

from toril import App, HookEvent, RetryPolicy

app = App("sqlite://:memory:")
server = {"up": False}
both_dead = asyncio.Event()


@app.task(queue="mail", retry=RetryPolicy(max_attempts=2, base_s=0.01))
async def greet(to: str) -> str:
    if not server["up"]:
        raise ConnectionError("the mail server is away")
    return f"greeted {to}"


@app.on("dead")
async def tell(event: HookEvent) -> None:
    if len((await app.dead_letters(event.letter_queue or "").list()).letters) == 2:
        both_dead.set()


async def main() -> None:
    async with app:
        await app.queue("mail").set_dead_letter("dead-letter")
        jobs = [await greet.enqueue(to=who) for who in ("ann", "bo")]
        async with app.worker():
            await both_dead.wait()
            dead = app.dead_letters()
            letter = (await dead.list()).letters[0]
            print(f"{letter.task} of {letter.original_queue} failed: {letter.failed_reason}")
            print("attempts:", ", ".join(attempt.outcome for attempt in letter.attempts))

            server["up"] = True
            await dead.redrive_all(error="away")
            for job in jobs:
                print("brought back:", await job.result(timeout_s=10))


if __name__ == "__main__":
    asyncio.run(main())
