"""The shop's own tables, and whom it tells when work has ended. Its reports: `reports.toml`."""

import json
import time
from pathlib import Path
from typing import Any

from toril import Context, TaskBundle, provided
from toril.services.money import to_text
from toril.services.records.records import Records

told = TaskBundle()


class Shop:
    """The tables `shop_users`, `shop_orders` and `shop_files`."""

    def __init__(self, records: Records) -> None:
        self.records = records

    async def sql(self, text: str, **values: Any) -> list[dict[str, Any]]:
        return await self.records.rows(text, values)

    async def prepare(self) -> None:
        for statement in Path(__file__).with_name("schema.sql").read_text().split(";\n"):
            if statement.strip():
                await self.sql(statement)

    async def add_user(self, user_id: str, name: str, email: str) -> None:
        now = round(time.time() * 1000)
        text = "INSERT INTO shop_users VALUES (:id, :name, :email, :now)"
        await self.sql(text, id=user_id, name=name, email=email, now=now)

    async def add_order(
        self, order_id: str, user_id: str, product: str, amount_minor: int, currency: str = "USD",
        state: str = "paid", at_ms: int = 0,
    ) -> None:  # fmt: skip
        at_ms = at_ms or round(time.time() * 1000)
        given = {"id": order_id, "user": user_id, "product": product, "amount": amount_minor,
                 "currency": currency, "state": state, "at": at_ms}  # fmt: skip
        await self.sql(f"INSERT INTO shop_orders VALUES (:{', :'.join(given)})", **given)

    async def tell(self, ctx: Context, user_id: str, template: str, **data: Any) -> None:
        """Add a mail to a user, in the step that completes the job; nothing if there is none."""
        for user in await self.sql("SELECT name, email FROM shop_users WHERE id = :id", id=user_id):
            mail = {
                "to": user["email"],
                "template": template,
                "data": {"name": user["name"], **data},
            }
            ctx.enqueue("send-email", mail, queue="email-sending")


@told.task(name="payment-ended", queue="payment-retry", rename="camel")
async def payment_ended(
    ctx: Context, payment_id: str, order_id: str, user_id: str, state: str, amount_minor: int,
    currency: str, reference: str, code: str, retry_count: int, *, shop: Shop = provided(Shop),
) -> None:  # fmt: skip
    now = "paid" if state == "succeeded" else "payment_failed"
    await shop.sql("UPDATE shop_orders SET state = :now WHERE id = :id", now=now, id=order_id)
    more = {"amount": to_text(amount_minor, currency), "currency": currency, "reason": code or None}
    template = "payment_succeeded" if state == "succeeded" else "payment_failed"
    await shop.tell(ctx, user_id, template, order_id=order_id, payment_id=payment_id, **more)


@told.task(name="commission-booked", queue="referral-commission", rename="camel")
async def commission_booked(
    ctx: Context, user_id: str, order_id: str, level: int, amount_minor: int, currency: str,
    *, shop: Shop = provided(Shop),
) -> None:  # fmt: skip
    earned = to_text(amount_minor, currency)
    await shop.tell(ctx, user_id, "commission_earned", commission_amount=earned, currency=currency)


@told.task(name="upload-ended", queue="file-processing", rename="camel")
async def upload_ended(
    ctx: Context, file_id: str, file_name: str, user_id: str, status: str, reason: str,
    product_id: str | None = None, signature: str | None = None, outputs: list[Any] | None = None,
    *, shop: Shop = provided(Shop),
) -> None:  # fmt: skip
    await shop.sql("DELETE FROM shop_files WHERE id = :id", id=file_id)
    await shop.sql("INSERT INTO shop_files VALUES (:id, :user, :status, :outputs)", id=file_id,
                   user=user_id, status=status, outputs=json.dumps(outputs or []))  # fmt: skip
    if status in ("infected", "rejected"):
        more = {"file_name": file_name, "reason": reason, "signature": signature}
        await shop.tell(ctx, user_id, "file_rejected", **more)
