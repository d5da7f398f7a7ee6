"""Ready-made worker settings, by the weight of the work. `toril worker --profile heavy`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Profile(StrEnum):
    """How heavy a queue's jobs are. A worker with a profile takes only queues of that profile."""

    LIGHT = "light"
    """Notifications, mail: 50 at once, leases of 30 s."""
    MEDIUM = "medium"
    """Reports, exports: 10 at once, leases of 5 min."""
    HEAVY = "heavy"
    """Video, machine learning: 1 at once, leases of 1 h."""

    @property
    def settings(self) -> ProfileSettings:
        """The figures of this profile."""
        return _SETTINGS[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSettings:
    """What a profile sets."""

    concurrency: int
    lease_s: float
    sweep_s: float


_SETTINGS = {
    Profile.LIGHT: ProfileSettings(concurrency=50, lease_s=30.0, sweep_s=30.0),
    Profile.MEDIUM: ProfileSettings(concurrency=10, lease_s=300.0, sweep_s=30.0),
    # Jobs of workers that fall silent come back within 10 s, whatever their lease.
    Profile.HEAVY: ProfileSettings(concurrency=1, lease_s=3600.0, sweep_s=30.0),
}
