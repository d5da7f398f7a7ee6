"""What the rest of the shop calls: mails, files, schedules; and a function for each kind of job."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from examples.marketplace.app import QUEUES, app, services

from toril import InvalidPayloadError, Job, ScheduleInfo
from toril.library.email.payloads import BULK_SIZE
from toril.services.unusable import UnusableInputError

Word = Literal["high", "normal", "low"]
Period = Literal["hourly", "daily", "weekly", "monthly"]


async def add(queue: str, *, name: str | None = None, **data: Any) -> Job[Any]:
    """Add a job under the usual name of its queue, with the queue's options."""
    return await app.queue(queue).add(name or QUEUES[queue].job or queue, data)


add_file_processing_job = partial(add, "file-processing")
add_analytics_job = partial(add, "analytics-aggregation")
add_payment_retry_job = partial(add, "payment-retry")
add_referral_commission_job = partial(add, "referral-commission")
add_daily_report_job = partial(add, "daily-reports")
add_weekly_report_job = partial(add, "weekly-reports")


async def add_email_job(
    template: str, data: dict[str, Any], priority: Word | None = None,
    recipients: Sequence[dict[str, Any]] = (), **more: Any,
) -> list[Job[Any]]:  # fmt: skip
    """Add a mail; or a campaign: its `recipients` go into jobs of at most 100.

    Raises:
        InvalidPayloadError: There is no such template, or it lacks a variable.
    """
    payload = {"template": template, "data": data, **more}
    if recipients:
        parts = range(0, len(recipients), BULK_SIZE)
        jobs = [{**payload, "recipients": recipients[at : at + BULK_SIZE]} for at in parts]
        name, priority = "send-campaign", priority or "low"
    else:
        jobs, name = [payload], "send-email"
        try:
            await asyncio.to_thread(services.mail.templates.render, template, data)
        except UnusableInputError as error:
            raise InvalidPayloadError(name, "data", str(error)) from None
    options = QUEUES.options("email-sending", priority)
    return await app.queue("email-sending").add_many([(name, one, options) for one in jobs])


class EmailService:
    async def send_welcome_email(self, to: str, name: str, url: str) -> Job[Any]:
        (job,) = await add_email_job("welcome", {"name": name, "url": url}, to=to)
        return job


class FileProcessingService:
    async def process_file(
        self, file_id: str, file_url: str, file_name: str, file_type: str, file_size: int,
        user_id: str, product_id: str | None = None, options: dict[str, Any] | None = None,
    ) -> Job[Any]:  # fmt: skip
        """Have a file looked at, scanned, and made smaller; it is served only then."""
        return await add_file_processing_job(
            fileId=file_id, fileUrl=file_url, fileName=file_name, fileType=file_type,
            fileSize=file_size, userId=user_id, productId=product_id, options=options or {},
            processingType="full",
        )  # fmt: skip


class CronService:
    async def schedule_custom_analytics_aggregation(
        self, type: Period, start: str, end: str, metrics: Sequence[str]
    ) -> Job[Any]:
        """Have metrics computed of a stretch of time."""
        span = {"start": start, "end": end}
        return await add_analytics_job(type=type, dateRange=span, metrics=[*metrics])

    async def schedule_defaults(self, *, only_missing: bool = False) -> list[ScheduleInfo]:
        """Set the built-in schedules; times are UTC."""
        found = []
        for queue, id, at, data in SCHEDULES:
            one = await app.schedules.get(id, queue=queue) if only_missing else None
            found.append(one or await app.schedules.put(
                id, app.queue(queue), data, name=QUEUES[queue].job, cron=at, timezone="UTC"
            ))  # fmt: skip
        return found


SCHEDULES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("daily-reports", "daily-report", "0 6 * * *", {}),
    ("weekly-reports", "weekly-report", "0 8 * * 1", {}),
    ("analytics-aggregation", "hourly-analytics", "5 * * * *", {"type": "hourly"}),
    ("analytics-aggregation", "daily-analytics", "15 0 * * *", {"type": "daily"}),
    ("analytics-aggregation", "weekly-analytics", "30 0 * * 1", {"type": "weekly"}),
    ("analytics-aggregation", "monthly-analytics", "45 0 1 * *", {"type": "monthly"}),
]
email, files, cron = EmailService(), FileProcessingService(), CronService()
