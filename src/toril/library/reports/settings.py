"""Where reports go, and who gets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from toril.core.checks import require

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """Settings of reports."""

    brand: str = ""
    """The name at the head of each page."""
    prefix: str = "reports"
    """With what the keys of files begin."""
    recipients: Sequence[str] = field(default=())
    """Who gets a mail with links, unless the payload names others."""
    link_s: float = 7 * DAY_S
    """How long these links work, in seconds; up to 7 days."""
    mail_task: str = "email.send"
    """The task that sends the mail; it gets the payload of `email.send`."""
    mail_queue: str | None = None
    """Its queue. None: the one of the app's task of this name."""

    def __post_init__(self) -> None:
        good = bool(self.prefix) and self.prefix.strip("/") == self.prefix
        require(good, "prefix", self.prefix, "a prefix such as 'reports'")
        require(60 <= self.link_s <= 7 * DAY_S, "link_s", self.link_s, "seconds, 60 to 604800")
        require(bool(self.mail_task), "mail_task", self.mail_task, "a task's name")
