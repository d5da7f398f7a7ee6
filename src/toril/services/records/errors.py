"""What goes wrong with a database before a statement reaches it."""

from __future__ import annotations

from toril.core.errors import TorilError


class RecordsUnavailableError(TorilError):
    """The database did not answer, or refused. Errors of statements are SQLAlchemy's own."""


class RecordsOutdatedError(TorilError):
    """Tables are missing or older than this Toril needs, and may not be changed by this process."""
