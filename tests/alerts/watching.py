"""Watches as several processes have them, and a channel that remembers what it was given."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from toril import App
from toril.alerts.message import AlertMessage
from toril.alerts.options import AlertOptions, AlertThresholds
from toril.alerts.watch import Watch
from toril.testing.clock import ManualClock


@dataclass
class Remembering:
    """A channel that remembers."""

    name: str = "memory"
    got: list[AlertMessage] = field(default_factory=list)

    async def send(self, message: AlertMessage) -> None:
        self.got.append(message)


class Outside:
    """Three apps that watch one store, at the same time."""

    def __init__(self, url: str, clock: ManualClock) -> None:
        self.url = url
        self.clock = clock
        self.channel = Remembering()
        self.apps: list[App] = []
        self.watches: list[Watch] = []
        self.options(AlertOptions(channels=[self.channel]))

    def options(self, options: AlertOptions) -> None:
        """Begin anew with other options."""
        self.watches = []
        for _ in range(3):
            app = App(self.url, clock=self.clock, alerts=options, durability="normal")
            self.apps.append(app)
            setup = app._alert_setup
            assert setup is not None
            self.watches.append(setup.watch())
        self.app = self.apps[-1]

    def only(self, **thresholds: Any) -> None:
        """Watch for these rules only."""
        off: dict[str, Any] = dict.fromkeys(
            (
                "dead_letters", "failure_ratio", "surge_factor", "size", "growth_samples",
                "oldest_s", "no_worker_s", "worker_lost_s", "schedule_late_s", "stuck_flows",
                "blocked_s",
            )
        )  # fmt: skip
        made = AlertThresholds(**{**off, **thresholds})
        self.options(AlertOptions(channels=[self.channel], thresholds=made))

    async def pass_time(self, seconds: float, *, step_s: float = 15.0) -> None:
        """Let time pass; all of them look as they would."""
        while seconds > 0:
            self.clock.advance(min(step_s, seconds))
            seconds -= step_s
            await self.look()

    async def look(self) -> None:
        """Have all of them look at once, and send what is to be sent."""
        await asyncio.gather(*(watch.tick() for watch in self.watches))
        for watch in self.watches:
            if watch._post is not None:
                tasks = list(watch._post._sending.values())
                if tasks:
                    await asyncio.wait(tasks)

    @property
    def told(self) -> list[str]:
        """What was told: rule, queue and state."""
        return [f"{one.rule} {one.queue} {one.state}" for one in self.channel.got]

    async def close(self) -> None:
        for watch in self.watches:
            await watch.leave()
        for app in self.apps:
            await app.close()
