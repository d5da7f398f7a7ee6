"""Records dead letters: `app.bind("dead-letter", record)` of `tasks.py`."""

from toril.library.deadletter.payloads import RecordedLetter

__all__ = ["RecordedLetter"]
