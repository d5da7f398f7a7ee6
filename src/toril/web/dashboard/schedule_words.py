"""What pages say of a schedule in words."""

from __future__ import annotations

from typing import Any

from toril.engine.schedules.info import ScheduleInfo
from toril.web.dashboard.cron_words import cron_words, every_words
from toril.web.dashboard.visit import Visit


class VisitSpeaks:
    """A visit's texts, as `cron_words` takes them."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit

    @property
    def language(self) -> str:
        """Its code."""
        return self._visit.catalogue.language

    def t(self, text: str, **values: Any) -> str:
        """Return a text in the reader's language."""
        return self._visit.t(text, **values)

    def n(self, one: str, many: str, number: float) -> str:
        """Return a text that depends on a number."""
        return self._visit.n(one, many, number)


def when_words(info: ScheduleInfo, visit: Visit) -> str | None:
    """Return when a schedule makes jobs, in words; None if only its pattern says it truly."""
    to = VisitSpeaks(visit)
    if info.every_s is not None:
        return every_words(info.every_s, to)
    return None if info.cron is None else cron_words(info.cron, to)
