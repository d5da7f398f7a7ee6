"""The app: settings, and which task runs the jobs of which queue."""

import os
from functools import partial
from pathlib import Path

from examples.marketplace.shop import Shop, told

import toril.library.email.tasks as mails
import toril.library.payments.tasks as payments
import toril.library.referrals.tasks as referrals
import toril.library.reports.tasks as reports
from toril import AlertThresholds, App, Settings
from toril.alerts.environment import alerts_from_environment
from toril.library.analytics.published import hourly
from toril.library.analytics.tasks import aggregate
from toril.library.deadletter.tasks import FORMS, record
from toril.library.email.published import campaign, from_template
from toril.library.environment import Services, store_url
from toril.library.files.tasks import upload
from toril.library.payments import from_decimals as payment_of
from toril.library.queue_table import QueueTable
from toril.library.referrals import from_decimals as commission_of
from toril.library.referrals import payout_from_decimals as payout_of
from toril.library.reports.published import daily_of, defaults, weekly_of
from toril.library.reports.queries import SqlReport, parts_of
from toril.library.shops import ShopWork, Told, for_trial

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("DATA_DIR") or "marketplace-data").absolute()
ENV = {
    "ALLOWED_FILE_TYPES": "image/jpeg,image/png,application/pdf", "EMAIL_BRAND": "Marketplace",
    **for_trial(os.environ, FOLDER),
}  # fmt: skip
QUEUES = QueueTable.load(HERE / "queues.toml", ENV.get("QUEUE_OPTIONS", ""))
services = Services.from_environment(ENV, folder=FOLDER, sender="Market <market@example.com>")
thresholds = AlertThresholds(stuck_flows=None)  # the letter of the step that failed says it already
app = App(
    store_url(ENV, embedded=f"sqlite:///{FOLDER}/jobs.db"),
    settings=Settings.load(ENV), unknown_tasks="fail",
    alerts=alerts_from_environment(ENV, mailer=services.mail.mailer, thresholds=thresholds),
)  # fmt: skip
shop = Shop(services.records)
work = ShopWork.from_environment(
    ENV, services, mail_task="send-report", mail_queue="email-sending",
    report=SqlReport(services.records, parts_of(HERE / "reports.toml"), app=app, queues=[*QUEUES]),
    told=Told(payment="payment-ended", commission="commission-booked", upload="upload-ended"),
)  # fmt: skip
work.provide(app)
app.provide(shop)


bind = partial(QUEUES.bind, app, rename="camel")
bind("email-sending", mails.send, adapter=from_template)
bind("email-sending", mails.send, names="send-report", rename=None)
bind("email-sending", mails.send_bulk, names="send-campaign", adapter=campaign)
bind("file-processing", upload)
bind("analytics-aggregation", aggregate)
bind("analytics-aggregation", aggregate, names="hourly-analytics-scheduler", adapter=hourly)
forms = [payments.retry, payment_of]
bind("payment-retry", payments.retry, adapter=forms, sealed=("paymentMethodId",))
bind("referral-commission", referrals.commission, adapter=[referrals.commission, commission_of])
paid = ["process-commission-payout", "bulk-commission-payouts"]
bind("referral-commission", referrals.payout, names=paid, adapter=[referrals.payout, payout_of])
bind("daily-reports", reports.daily, adapter=[reports.daily, daily_of])
bind("daily-reports", reports.daily, names="daily-reports-scheduler", adapter=defaults)
bind("weekly-reports", reports.weekly, adapter=[reports.weekly, weekly_of])
bind("weekly-reports", reports.weekly, names="weekly-reports-scheduler", adapter=defaults)
bind("dead-letter", record, adapter=FORMS)
app.include(told)
app.on_stop(work.close)


@app.on_start
async def prepare() -> None:
    """Have the tables, the rules of dead letters and the schedules there."""
    await work.prepare()
    await services.records.script((HERE / "schema.sql").read_text())
    await QUEUES.set_up(app, dead_letter="dead-letter")
