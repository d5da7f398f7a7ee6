"""A flow: a parent that waits for its children and reads their results, and a chain of three.

Run:
    python examples/flows.py

Prints:
    built: intro (12 s), outro (7 s); without: no transcript for intro
    100% ended
    chain: resized, framed, published
"""

import asyncio

from toril import App, Context, Fail, chain

app = App("sqlite://:memory:")


@app.task(queue="video")
async def encode(name: str, seconds: int) -> str:
    return f"{name} ({seconds} s)"


@app.task(queue="video")
async def transcribe(name: str) -> str:
    raise Fail(f"no transcript for {name}")


@app.task(queue="courses")
async def build(context: Context) -> str:
    videos = (await context.children_results(encode)).values()
    missing = (await context.ignored_children()).values()
    return f"{', '.join(sorted(videos))}; without: {', '.join(missing)}"


@app.task(queue="images")
async def step(context: Context, verb: str) -> str:
    before = "".join((await context.children_results(step)).values())
    return f"{before}, {verb}" if before else verb


async def main() -> None:
    async with app, app.worker():
        course = await app.flows.add(
            build.node(
                children=[
                    encode.node("intro", 12, children=[encode.node("trailer", 3)]),
                    encode.node("outro", 7),
                    transcribe.node("intro", on_failure="ignore"),
                ],
            )
        )
        print("built:", await course.result(timeout_s=10))
        print(f"{(await course.progress()).share:.0%} ended")
        steps = (step.node(verb=verb) for verb in ("resized", "framed", "published"))
        print("chain:", await (await app.flows.add(chain(*steps))).result(timeout_s=10))


if __name__ == "__main__":
    asyncio.run(main())
