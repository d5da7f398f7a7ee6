"""The shop's own tables, and whom it tells when work has ended. Its reports: `reports.toml`."""

import json
import time
from typing import Any

from toril import Context, TaskBundle, WholePayload, provided
from toril.services.money import to_text
from toril.services.records.records import Records

told = TaskBundle()


class Shop:
    """The tables `shop_users`, `shop_orders` and `shop_files`."""

    def __init__(self, records: Records) -> None:
        self.records = records

    async def sql(self, text: str, **values: Any) -> list[dict[str, Any]]:
        return await self.records.rows(text, values)

    async def insert(self, table: str, **row: Any) -> None:
        row = {"created_ms": round(time.time() * 1000), **row}
        columns = f"({', '.join(row)}) VALUES (:{', :'.join(row)})"
        await self.sql(f"INSERT INTO {table} {columns}", **row)

    async def tell(self, ctx: Context, user_id: str, template: str, **data: Any) -> None:
        """Add a mail to a user, in the step that completes the job; nothing if there is none."""
        for user in await self.sql("SELECT name, email FROM shop_users WHERE id = :id", id=user_id):
            data = {"name": user["name"], **data}
            mail = {"to": user["email"], "template": template, "data": data}
            ctx.enqueue("send-email", mail, queue="email-sending")


@told.task(name="payment-ended", queue="payment-retry")
async def payment_ended(
    ctx: Context, data: WholePayload[Any], *, shop: Shop = provided(Shop)
) -> None:
    paid, currency, order = data["state"] == "succeeded", data["currency"], data["orderId"]
    now = "paid" if paid else "payment_failed"
    await shop.sql("UPDATE shop_orders SET state = :now WHERE id = :id", now=now, id=order)
    amount = to_text(data["amountMinor"], currency)
    reason = data["code"] or None
    more = {"order_id": order, "amount": amount, "currency": currency, "reason": reason}
    await shop.tell(ctx, data["userId"], "payment_succeeded" if paid else "payment_failed", **more)


@told.task(name="commission-booked", queue="referral-commission")
async def commission_booked(
    ctx: Context, data: WholePayload[Any], *, shop: Shop = provided(Shop)
) -> None:
    amount, currency = to_text(data["amountMinor"], data["currency"]), data["currency"]
    more = {"commission_amount": amount, "currency": currency}
    await shop.tell(ctx, data["userId"], "commission_earned", **more)


@told.task(name="upload-ended", queue="file-processing")
async def upload_ended(
    ctx: Context, data: WholePayload[Any], *, shop: Shop = provided(Shop)
) -> None:
    row = {"id": data["fileId"], "user_id": data["userId"], "status": data["status"]}
    await shop.sql("DELETE FROM shop_files WHERE id = :id", id=row["id"])
    await shop.insert("shop_files", **row, outputs=json.dumps(data["outputs"]))
    if data["status"] in ("infected", "rejected"):
        more = {"reason": data["reason"], "signature": data["signature"]}
        await shop.tell(ctx, data["userId"], "file_rejected", file_name=data["fileName"], **more)
