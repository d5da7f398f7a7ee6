"""Runs the marketplace: API, dashboard, and, unless START_WORKERS=false, a worker in one process.

Run:
    python -m examples.marketplace
    python -m examples.marketplace demo     # beside that, a round to look at
"""

import asyncio
import logging
import sys

from toril import TorilError

HERE = """The marketplace, in this process alone: API, dashboard and worker. Its files are in
{0}: mails in mail, files and reports in objects. The dashboard is at {1}/jobs."""


async def play(url: str) -> None:
    """Play a round: a customer, an upload, a purchase with a commission, a campaign, reports."""
    from importlib.resources import files as shipped

    from examples.marketplace import services as shop_services
    from examples.marketplace.app import FOLDER, services, shop

    print(HERE.format(FOLDER, url), flush=True)
    await shop.add_user("ann", "Ann", "ann@example.com")
    await shop.add_user("bob", "Bob", "bob@example.com")
    await shop_services.email.send_welcome_email("ann@example.com", "Ann", url)
    photo = shipped("toril.library.images").joinpath("photos", "rocket.jpg").read_bytes()
    await services.objects.put("inbox/rocket.jpg", photo)
    upload = ("file-1", "inbox/rocket.jpg", "rocket.jpg", "image/jpeg", len(photo), "ann")
    await shop_services.files.process_file(*upload)
    await shop.add_order("order-1", "ann", "Rocket poster", 1999, "USD", "payment_failed")
    await shop_services.add_payment_retry_job(
        paymentId="payment-1", orderId="order-1", userId="ann", provider="stripe",
        amountMinor=1999, currency="USD", paymentMethodId="pm_card",
    )  # fmt: skip
    await shop_services.add_referral_commission_job(
        orderId="order-1", buyerId="ann", referrerId="bob", orderAmountMinor=1999,
        currency="USD", eventType="order_paid",
    )  # fmt: skip
    await shop_services.add_email_job(
        template="marketing", campaignId="winter", data={},
        recipients=[{"to": f"{who}@example.com", "data": {"title": "Sale", "message": "Hi"}}
                    for who in ("ann", "bob")],
    )  # fmt: skip
    await shop_services.add_daily_report_job()


async def main(demo: bool) -> None:
    """Serve until told to stop; a demo without a terminal, until the round is over."""
    from examples.marketplace.app import ENV, QUEUES, STAGE, app
    from examples.marketplace.web import access, market

    from toril.web.running import run_site

    inside = ENV.get("START_WORKERS", str(STAGE != "production")).lower() in ("true", "1", "yes")
    at_once = sum(QUEUES[name].concurrency for name in QUEUES) if inside or demo else None
    show = play if demo else None
    await run_site(market, app, port=3000, access=access, concurrency=at_once, show=show)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("toril.operator").setLevel(logging.WARNING)  # the audit log has these
    try:
        asyncio.run(main(sys.argv[1:] == ["demo"]))
    except TorilError as error:  # a setting, a port, a store: its message says what to do
        sys.exit(f"{type(error).__name__}: {error}")
