"""The app: settings, and which task runs the jobs of which queue."""

import os
from pathlib import Path
from typing import Any

from examples.marketplace.shop import PARTS, Shop, told

import toril.library.email.tasks as mails
import toril.library.payments.tasks as payments
import toril.library.referrals.tasks as referrals
import toril.library.reports.tasks as reports
from toril import AlertThresholds, App, InvalidSettingError, Settings
from toril.alerts.environment import alerts_from_environment
from toril.library.analytics.tasks import aggregate
from toril.library.deadletter.tasks import FORMS, record
from toril.library.email.published import campaign, from_template
from toril.library.environment import Services, kept_key, store_url
from toril.library.files.tasks import upload
from toril.library.files.upload_opening import uploads_from_environment
from toril.library.payments import PaymentSettings, Providers
from toril.library.payments import from_decimals as payment_of
from toril.library.queue_table import QueueTable
from toril.library.referrals import ReferralSettings
from toril.library.referrals import from_decimals as commission_of
from toril.library.reports import Reports, ReportSettings
from toril.library.reports.published import daily_of, defaults, weekly_of
from toril.library.reports.queries import SqlReport
from toril.services.analytics.sql import Analytics
from toril.services.payments.memory import MemoryPayments
from toril.services.payments.opening import providers_from_environment
from toril.services.referrals.port import Referrals
from toril.services.referrals.sql import SqlReferrals
from toril.services.referrals.tables import REFERRALS

given = {name: text for name, text in os.environ.items() if text.strip()}
STAGE = given.get("TORIL_ENV") or given.get("NODE_ENV") or "development"
if STAGE not in ("development", "production", "test"):
    raise InvalidSettingError(f"TORIL_ENV={STAGE!r}: expected development, production or test")
FOLDER = Path(given.get("DATA_DIR") or "marketplace-data").absolute()
FOLDER.mkdir(parents=True, exist_ok=True)
INSIDE = {"EMAIL_PROVIDER": "memory", "STORAGE_URL": "memory://"}
ENV = {
    "EMAIL_BRAND": "Marketplace", "ALLOWED_FILE_TYPES": "image/jpeg,image/png,application/pdf",
    "ALERT_EMAIL_TO": "ops@market.example", "REPORT_TO": "boss@market.example", "CURRENCY": "USD",
    "EMAIL_UNSUBSCRIBE_URL": "http://127.0.0.1:3000/unsubscribe?t={token}",
    **({} if STAGE == "production" else {"CLAMD_ADDRESS": "memory"}),  # which warns
    **(INSIDE if STAGE == "test" else {}), **given,
}  # fmt: skip
if STAGE != "production":  # there, without keys, nothing is sealed and no worker starts
    ENV.setdefault("TORIL_ENCRYPTION_KEYS", kept_key(FOLDER / "encryption.key"))
    ENV.setdefault("EMAIL_UNSUBSCRIBE_KEY", kept_key(FOLDER / "unsubscribe.key"))
ENV.setdefault("SENDGRID_URL", ENV.get("SENDGRID_API_BASE", ""))
QUEUES = QueueTable.load(Path(__file__).with_name("queues.toml"), ENV.get("QUEUE_OPTIONS", ""))

services = Services.from_environment(ENV, folder=FOLDER, sender="Market <market@example.com>")
thresholds = AlertThresholds(stuck_flows=None)  # the letter of the step that failed says it already
alerts = alerts_from_environment(ENV, mailer=services.mail.mailer, thresholds=thresholds)
url = store_url(ENV, embedded=f"sqlite:///{FOLDER}/jobs.db")
app = App(url, settings=Settings.load(ENV), unknown_tasks="fail", alerts=alerts)
uploads = uploads_from_environment(
    ENV, objects=services.objects, http=services.http, outcome_task="upload-ended"
)
providers = providers_from_environment(ENV, services.http)
if STAGE != "production":  # those that nobody has set up move no money
    providers = {name: MemoryPayments() for name in ("stripe", "yookassa", "crypto")} | providers
shop, analytics = Shop(services.records), Analytics(services.records, currency=ENV["CURRENCY"])
report = SqlReport(services.records, PARTS, app=app, queues=[*QUEUES])
people = [one.strip() for one in ENV["REPORT_TO"].split(",")]
report_settings = ReportSettings(
    brand=ENV["EMAIL_BRAND"], recipients=people, mail_task="send-report", mail_queue="email-sending"
)
services.provide(app)
app.provide(SqlReferrals(services.records), Referrals)
for value in (
    shop, analytics, uploads, Providers(providers), PaymentSettings(outcome_task="payment-ended"),
    ReferralSettings(earned_task="commission-booked"),
    Reports(report, services.objects, settings=report_settings),
):  # fmt: skip
    app.provide(value)


def bind(queue: str, task: Any, **more: Any) -> None:
    more = {"rename": "camel", "concurrency": QUEUES[queue].concurrency, **more}
    app.bind(queue, task, options=QUEUES.options(queue), **more)


def hourly(scheduled: bool = True) -> dict[str, Any]:
    return aggregate.arguments_of("hourly")


bind("email-sending", mails.send, adapter=from_template)
bind("email-sending", mails.send, names="send-report", rename=None)
bind("email-sending", mails.send_bulk, names="send-campaign", adapter=campaign)
bind("file-processing", upload)
bind("analytics-aggregation", aggregate)
bind("analytics-aggregation", aggregate, names="hourly-analytics-scheduler", adapter=hourly)
forms = [payments.retry, payment_of]
bind("payment-retry", payments.retry, adapter=forms, sealed=("paymentMethodId",))
bind("referral-commission", referrals.commission, adapter=[referrals.commission, commission_of])
bind("daily-reports", reports.daily, adapter=[reports.daily, daily_of])
bind("daily-reports", reports.daily, names="daily-reports-scheduler", adapter=defaults)
bind("weekly-reports", reports.weekly, adapter=[reports.weekly, weekly_of])
bind("weekly-reports", reports.weekly, names="weekly-reports-scheduler", adapter=defaults)
bind("dead-letter", record, adapter=FORMS)
app.include(told)


@app.on_start
async def prepare() -> None:
    """Have the tables, the rules of dead letters and the schedules there."""
    from examples.marketplace.services import cron

    await services.prepare()
    await services.records.prepare(REFERRALS)
    await shop.prepare()
    for name in QUEUES:
        if name != "dead-letter":
            await app.queue(name).set_dead_letter("dead-letter")
    await cron.schedule_defaults()


@app.on_stop
async def close() -> None:
    await uploads.close()
    await services.close()
