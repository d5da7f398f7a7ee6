"""E-mail: to some people, or to many, each of them once, whatever goes wrong in between."""

from toril.library.email.payloads import (
    AttachmentSource,
    BulkRecipient,
    BulkResult,
    EmailJobData,
    EmailResult,
)
from toril.library.email.service import EmailService
from toril.library.email.settings import EmailSettings

__all__ = [
    "AttachmentSource",
    "BulkRecipient",
    "BulkResult",
    "EmailJobData",
    "EmailResult",
    "EmailService",
    "EmailSettings",
]
