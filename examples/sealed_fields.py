"""A field that is encrypted in the store, and decrypted for the task only.

Run:
    python examples/sealed_fields.py

Prints:
    in the store: ['$sealed']
    the task charged 4242424242424242
    the reason: ValueError: card [sealed] was declined
"""

import asyncio

from toril import App, JobFailedError, RetryPolicy, Settings
from toril.testing import in_memory

# One of your own: `toril encryption-key`. It comes by the environment, as TORIL_ENCRYPTION_KEYS.
KEY = "c2VhbGVkIGZpZWxkcywgYSBrZXkgb2YgMzIgYnl0ZXM="

app = App(settings=Settings(encryption_keys=(KEY,)))


@app.task(queue="payments", sealed=("card",), retry=RetryPolicy(max_attempts=1))
async def charge(card: str, amount: int) -> None:
    if amount > 100:
        raise ValueError(f"card {card} was declined")
    print("the task charged", card)


async def main() -> None:
    """Charge a card, once too much."""
    async with in_memory(app) as jobs:
        job = await charge.enqueue("4242424242424242", amount=10)
        info = await job.info()
        assert info is not None
        print("in the store:", list(info.data["card"]))
        refused = await charge.enqueue("4242424242424242", amount=1000)
        await jobs.run_until_idle()
        try:
            await refused.result(timeout_s=1)
        except JobFailedError as error:
            print("the reason:", error)


asyncio.run(main())
