"""What the rest of the shop calls: mails, files, schedules; and a function for each kind of job."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from examples.marketplace.app import QUEUES, app, services

from toril import InvalidPayloadError, Job, ScheduleInfo
from toril.library.analytics.payloads import BucketType
from toril.library.email.published import Word, check_mail, parts_of
from toril.services.unusable import UnusableInputError


async def add(queue: str, *, name: str | None = None, **data: Any) -> Job[Any]:
    """Add a job under the usual name of its queue, with the queue's options."""
    return await app.queue(queue).add(name or QUEUES[queue].job or queue, data)


add_file_processing_job = partial(add, "file-processing")
add_analytics_job = partial(add, "analytics-aggregation")
add_payment_retry_job = partial(add, "payment-retry")
add_referral_commission_job = partial(add, "referral-commission")
add_daily_report_job = partial(add, "daily-reports")
add_weekly_report_job = partial(add, "weekly-reports")


async def add_email_job(*, priority: Word | None = None, **data: Any) -> list[Job[Any]]:
    """Add a mail; or a campaign: its `recipients` go into jobs of at most 100.

    Raises:
        InvalidPayloadError: There is no such template, or it lacks a variable.
    """
    is_campaign = "recipients" in data
    try:
        if not is_campaign:
            await check_mail(services.mail, data["template"], data["data"])
    except UnusableInputError as error:
        raise InvalidPayloadError("send-email", "data", str(error)) from None
    options = QUEUES.options("email-sending", priority or ("low" if is_campaign else None))
    name, jobs = ("send-campaign", parts_of(data)) if is_campaign else ("send-email", [data])
    return await app.queue("email-sending").add_many([(name, one, options) for one in jobs])


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
        self, type: BucketType, start: str, end: str, metrics: Sequence[str]
    ) -> Job[Any]:
        """Have metrics computed of a stretch of time."""
        span = {"start": start, "end": end}
        return await add_analytics_job(type=type, dateRange=span, metrics=[*metrics])

    async def schedule_defaults(self) -> list[ScheduleInfo]:
        """Set the schedules of `queues.toml` as they are there."""
        return await QUEUES.schedule(app)


email, files, cron = EmailService(), FileProcessingService(), CronService()
