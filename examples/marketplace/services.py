"""What the rest of the shop calls: mails, files, schedules; and a function for each kind of job."""

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

from examples.marketplace.app import QUEUES, app, services

from toril import InvalidPayloadError, Job, JobOptions, ScheduleInfo
from toril.library.email.payloads import BULK_SIZE
from toril.library.files.uploads import read_upload_options
from toril.services.unusable import UnusableInputError

Word = Literal["high", "normal", "low"]
Period = Literal["hourly", "daily", "weekly", "monthly"]


async def add(
    queue: str, data: dict[str, Any], *, name: str | None = None, priority: Word | None = None
) -> Job[Any]:
    """Add a job under the usual name of its queue, with the queue's options."""
    options = QUEUES.options(queue, priority)
    return await app.queue(queue).add(name or QUEUES[queue].job or queue, data, options)


async def add_email_job(**data: Any) -> list[Job[Any]]:
    """Add a mail, or a campaign: `recipients` go into jobs of at most 100.

    Raises:
        InvalidPayloadError: There is no such template, or it lacks a variable.
    """
    priority, people = data.get("priority"), data.pop("recipients", None)
    if people is None:
        if not {"html", "text"} & {*data.get("data", {})}:
            await check_mail(data.get("template", ""), data.get("data", {}))
        return [await add("email-sending", data, priority=priority)]
    parts = [people[start : start + BULK_SIZE] for start in range(0, len(people), BULK_SIZE)]
    options = QUEUES.options("email-sending", priority or "low")
    jobs = [("send-campaign", {**data, "recipients": part}, options) for part in parts]
    return await app.queue("email-sending").add_many(jobs)


async def check_mail(template: str, variables: dict[str, Any]) -> None:
    try:
        name = template.replace("-", "_")
        await asyncio.to_thread(services.mail.templates.render, name, variables)
    except UnusableInputError as error:
        raise InvalidPayloadError("send-email", "data", str(error)) from None


async def add_file_processing_job(**data: Any) -> Job[Any]:
    read_upload_options(data.get("options"))
    return await add("file-processing", data)


async def add_analytics_job(**data: Any) -> Job[Any]:
    return await add("analytics-aggregation", data)


async def add_payment_retry_job(delay_s: float = 0.0, **data: Any) -> Job[Any]:
    return await app.queue("payment-retry").add("retry-payment", data, JobOptions(delay_s=delay_s))


async def add_referral_commission_job(**data: Any) -> Job[Any]:
    return await add("referral-commission", data)


async def add_daily_report_job(**data: Any) -> Job[Any]:
    return await add("daily-reports", data)


async def add_weekly_report_job(**data: Any) -> Job[Any]:
    return await add("weekly-reports", data)


class EmailService:
    async def send_welcome_email(self, to: str, name: str, url: str) -> Job[Any]:
        (job,) = await add_email_job(to=to, template="welcome", data={"name": name, "url": url})
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

    async def schedule_defaults(self) -> list[ScheduleInfo]:
        """Set the built-in schedules; times are UTC."""
        made = []
        for queue, name, cron, data in SCHEDULES:
            target = app.queue(queue)
            made.append(await app.schedules.put(
                name, target, data, name=QUEUES[queue].job, cron=cron, timezone="UTC",
                options=QUEUES.options(queue)))  # fmt: skip
        return made


SCHEDULES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("daily-reports", "daily-report", "0 6 * * *", {}),
    ("weekly-reports", "weekly-report", "0 8 * * 1", {}),
    ("analytics-aggregation", "hourly-analytics", "5 * * * *", {"type": "hourly"}),
    ("analytics-aggregation", "daily-analytics", "15 0 * * *", {"type": "daily"}),
    ("analytics-aggregation", "weekly-analytics", "30 0 * * 1", {"type": "weekly"}),
    ("analytics-aggregation", "monthly-analytics", "45 0 1 * *", {"type": "monthly"}),
]
email, files, cron = EmailService(), FileProcessingService(), CronService()
