"""What jobs of the SaaS API are called, what they carry, and how urgent they are."""

from __future__ import annotations

import os
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from toril.core.priority_scale import PriorityScale
from toril.library.email import AttachmentSource


class JobType(StrEnum):
    EMAIL_SEND = "EMAIL_SEND"
    USER_NOTIFICATION = "USER_NOTIFICATION"
    DATA_EXPORT = "DATA_EXPORT"
    FILE_PROCESS = "FILE_PROCESS"
    CACHE_WARM = "CACHE_WARM"
    CLEANUP = "CLEANUP"


class JobPriority(IntEnum):
    """Higher is more urgent here. On the wire lower is, so this door converts: by `wire`."""

    LOW, NORMAL, HIGH, URGENT = 1, 5, 10, 20


wire = PriorityScale.from_environment(JobPriority.URGENT, os.environ)


def older(name: str) -> str:  # what older producers call a type: `email:send`
    return "cleanup" if name == "CLEANUP" else name.lower().replace("_", ":")


class BaseJobData(Struct, kw_only=True, rename="camel"):
    user_id: str | None = None
    tenant_id: str | None = None
    request_id: str | None = None


class EmailJobData(BaseJobData):
    to: Annotated[str, Meta(pattern=r"^[^\r\n]*[^\s@]@[^\s@]+$", max_length=320)]
    subject: str
    template: str
    variables: dict[str, Any] = {}
    attachments: list[AttachmentSource] = []


class UserNotificationJobData(BaseJobData):
    user_id: str
    title: str
    body: str
    type: Literal["info", "warning", "error", "success"] = "info"
    metadata: dict[str, Any] | None = None


class DataExportJobData(BaseJobData):
    export_type: Literal["csv", "json", "xlsx"]
    filters: dict[str, Any]
    columns: list[str] | None = None


class FileProcessJobData(BaseJobData):
    file_path: str
    operation: Literal["resize", "compress", "convert", "extract_text"]
    options: dict[str, Any] = {}


class CacheWarmJobData(BaseJobData):
    cache_key: str
    data_source: str
    ttl: float | None = None


class CleanupJobData(BaseJobData):
    target_type: Literal["temp_files", "old_logs", "expired_sessions"]
    older_than: Annotated[int, Meta(ge=0)]
    path: str | None = None
    pattern: str | None = None
    dry_run: bool = False
