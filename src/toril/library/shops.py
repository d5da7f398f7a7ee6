"""What the tasks of a shop work with, in one place, as an environment names it.

```python
work = ShopWork.from_environment(ENV, services, report=SqlReport(services.records, parts))
work.provide(app)
app.on_start(work.prepare)
app.on_stop(work.close)
```
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toril.core.errors import InvalidSettingError
from toril.library.environment import Providing, Services, kept_key
from toril.library.files.upload_opening import uploads_from_environment
from toril.library.files.uploads import Uploads
from toril.library.payments.settings import PaymentSettings, Providers
from toril.library.referrals.settings import ReferralSettings
from toril.library.reports.content import ReportSource
from toril.library.reports.making import Reports
from toril.library.reports.settings import ReportSettings
from toril.services.analytics.sql import Analytics
from toril.services.analytics.tables import ANALYTICS
from toril.services.payments.memory import MemoryPayments
from toril.services.payments.opening import providers_from_environment
from toril.services.payments.port import PaymentProvider
from toril.services.referrals.port import Referrals
from toril.services.referrals.sql import SqlReferrals
from toril.services.referrals.tables import REFERRALS

STAGES = ("development", "production", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Names of the app's tasks that are told how work ended. None: nobody is."""

    payment: str | None = None
    commission: str | None = None
    upload: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopWork:
    """Uploads, payments, referrals, analytics and reports."""

    services: Services
    uploads: Uploads
    providers: Providers
    referrals: SqlReferrals
    analytics: Analytics
    reports: Reports
    told: Told

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str],
        services: Services,
        *,
        report: ReportSource,
        told: Told | None = None,
        mail_task: str = "email.send",
        mail_queue: str | None = None,
    ) -> ShopWork:
        """Return what the environment names.

        Reads `CURRENCY` (USD), `REPORT_TO` (addresses, with commas between), `EMAIL_BRAND`, and
        what `uploads_from_environment` and `providers_from_environment` read. Outside production
        payments that no provider is named for move no money.

        Parameters:
            environ: Where to read.
            services: Database, storage and the rest.
            report: Gathers what reports say.
            told: Who is told how work ended.
            mail_task: The task that sends the mails of reports, and `mail_queue`, its queue.
            mail_queue: See there.

        Raises:
            InvalidSettingError: With the variable's name, its value and what would do.
        """
        told = told or Told()
        found: dict[str, PaymentProvider] = {}
        if stage_of(environ) != "production":
            found = {name: MemoryPayments() for name in ("stripe", "yookassa", "crypto")}
        found |= providers_from_environment(environ, services.http)
        if not found:
            raise InvalidSettingError(
                "STRIPE_SECRET_KEY is not set: expected at least one provider"
            )
        people = [one.strip() for one in environ.get("REPORT_TO", "").split(",") if one.strip()]
        return cls(
            services=services,
            uploads=uploads_from_environment(
                environ, objects=services.objects, http=services.http, outcome_task=told.upload
            ),
            providers=Providers(found),
            referrals=SqlReferrals(services.records),
            analytics=Analytics(services.records, currency=environ.get("CURRENCY") or "USD"),
            reports=Reports(
                report,
                services.objects,
                settings=ReportSettings(
                    brand=environ.get("EMAIL_BRAND", ""),
                    recipients=people,
                    mail_task=mail_task,
                    mail_queue=mail_queue,
                ),
            ),
            told=told,
        )

    def provide(self, app: Providing) -> None:
        """Provide all of it to an app's tasks, the services as well."""
        self.services.provide(app)
        app.provide(self.referrals, Referrals)
        for one in (
            self.uploads,
            self.providers,
            self.analytics,
            self.reports,
            PaymentSettings(outcome_task=self.told.payment),
            ReferralSettings(earned_task=self.told.commission),
        ):
            app.provide(one)

    async def prepare(self) -> None:
        """Make the tables of the database, or bring them up to date."""
        await self.services.prepare()
        await self.services.records.prepare(REFERRALS, ANALYTICS)

    async def close(self) -> None:
        """Let go of all connections."""
        await self.uploads.close()
        await self.providers.close()
        await self.services.close()


def stage_of(environ: Mapping[str, str]) -> str:
    """Return the stage: `TORIL_ENV`, else `NODE_ENV`, else `development`.

    Raises:
        InvalidSettingError: It is neither development, production nor test.
    """
    for name in ("TORIL_ENV", "NODE_ENV"):
        text = environ.get(name, "").strip()
        if text:
            if text not in STAGES:
                raise InvalidSettingError(f"{name}={text!r}: expected {', '.join(STAGES)}")
            return text
    return "development"


def starts_workers(environ: Mapping[str, str]) -> bool:
    """Whether the process of an API works, too: `START_WORKERS`; outside production by default.

    Raises:
        InvalidSettingError: It is neither true nor false.
    """
    text = environ.get("START_WORKERS", "").strip().lower()
    if text in ("true", "1", "yes", "false", "0", "no"):
        return text in ("true", "1", "yes")
    if text:
        raise InvalidSettingError(f"START_WORKERS={text!r}: expected true or false")
    return stage_of(environ) != "production"


def for_trial(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return an environment in which a shop runs without any setting; in production, as it is.

    Keys are made once and kept in the folder, mails and objects go there, nothing is really scanned
    (`CLAMD_ADDRESS=memory`), links lead to this machine. In the stage `test`, mails and objects
    are kept in memory. What is set stays.

    Parameters:
        environ: What is set.
        folder: Where files go. It is made.
    """
    given = {name: text for name, text in environ.items() if text.strip()}
    if (base := given.get("SENDGRID_API_BASE")) is not None:
        given = {"SENDGRID_URL": base, **given}
    stage = stage_of(given)
    folder.mkdir(parents=True, exist_ok=True)
    site = given.get("SITE_URL") or f"http://127.0.0.1:{given.get('PORT') or 3000}"
    if not re.match(r"https?://", site):
        raise InvalidSettingError(f"SITE_URL={site!r}: expected one with https://")
    site = site.rstrip("/")
    links = {"EMAIL_UNSUBSCRIBE_URL": f"{site}/unsubscribe?t={{token}}"}
    if "STORAGE_LINK_SECRETS" in given or stage != "production":
        links["STORAGE_LINK_URL"] = f"{site}/files"
    if stage == "production":
        return {**(links if "EMAIL_UNSUBSCRIBE_KEY" in given else {}), **given}
    kept = kept_key(folder / "links.key")
    made = {
        **links,
        "TORIL_ENCRYPTION_KEYS": kept_key(folder / "encryption.key"),
        "EMAIL_UNSUBSCRIBE_KEY": kept,
        "STORAGE_LINK_SECRETS": kept,
        "CLAMD_ADDRESS": "memory",
        "ALERT_EMAIL_TO": "ops@example.com",
        "REPORT_TO": "boss@example.com",
    }
    if stage == "test":
        made |= {"EMAIL_PROVIDER": "memory", "STORAGE_URL": "memory://"}
    return {**made, **given}
