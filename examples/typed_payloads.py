"""A payload is the task's parameters: checked when it is added, and typed when it arrives.

Run:
    python examples/typed_payloads.py

Prints:
    refused: task 'invoice', field 'lines[1].amountMinor': Expected `int`, got `str`
    refused: task 'invoice', field 'custmer': unknown; did you mean 'customer'?
    stored as {'customer': 'Jo', 'lines': [{'text': 'pen', 'amountMinor': 120}]}
    Total(amount_minor=120, currency='EUR')
"""

import asyncio
from typing import Any, NamedTuple

import msgspec

from toril import App, InvalidPayloadError

app = App("sqlite://:memory:")


class Line(msgspec.Struct, rename="camel"):
    """Or a dataclass, a TypedDict, a pydantic model."""

    text: str
    amount_minor: int


class Total(NamedTuple):
    """What comes back."""

    amount_minor: int
    currency: str


@app.task(queue="invoices")
async def invoice(customer: str, lines: list[Line], currency: str = "EUR") -> Total:
    return Total(sum(line.amount_minor for line in lines), currency)


async def main() -> None:
    unpriced: dict[str, Any] = {"text": "ink", "amountMinor": "a lot"}
    wrong = {"customer": "Jo", "lines": [Line("pen", 120), unpriced]}
    for payload in (wrong, {"custmer": "Jo", "lines": []}):
        try:
            await invoice.enqueue(**payload)
        except InvalidPayloadError as error:
            print("refused:", error)
    job = await invoice.enqueue(customer="Jo", lines=[Line("pen", 120)])
    print("stored as", (await job.info()).data)
    await app.worker().run(until_idle=True)
    print(await job.result())
    await app.close()


if __name__ == "__main__":
    asyncio.run(main())
