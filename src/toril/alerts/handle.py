"""`app.alerts`: what is raised, who is not told, and whether messages arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal

from toril.alerts.message import SEND_S, TITLES, sample
from toril.alerts.records import (
    AlertRecord,
    MuteRecord,
    UnsentRecord,
    key_of,
    read_rows,
    row,
)
from toril.alerts.turn import is_muted
from toril.core.checks import require, unknown
from toril.core.clock import moment
from toril.core.durations import seconds
from toril.core.errors import InvalidOptionError
from toril.core.redact import without_password, without_passwords
from toril.engine.contract import Backend
from toril.engine.contract.alerts import AlertRow
from toril.engine.operations import Operations

if TYPE_CHECKING:
    from toril.alerts.setup import AlertSetup

RULES = tuple(rule for rule in TITLES if rule not in ("many", "test"))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertInfo:
    """An alert that is raised, or was lately."""

    rule: str
    """`dead_letter`, `queue_size`, …"""
    queue: str
    """What it is about; of a worker, its queues with commas between."""
    state: Literal["pending", "raised", "recovered"]
    """`pending`: seen, but not for long enough to be raised."""
    since: datetime
    """When it was first seen."""
    seen: datetime
    """When it was last seen."""
    value: float
    threshold: float
    text: str
    told: bool
    """Whether somebody was told that it is raised."""
    told_at: datetime | None
    """When somebody was last told. None: never."""
    muted: bool

    @classmethod
    def from_record(cls, record: AlertRecord, *, muted: bool) -> AlertInfo:
        """Return a stored record as Python values."""
        return cls(
            rule=record.rule,
            queue=", ".join(record.queues),
            state=record.state,
            since=moment(record.since_ms),
            seen=moment(record.seen_ms),
            value=record.value,
            threshold=record.threshold,
            text=record.text,
            told=record.told,
            told_at=moment(record.told_ms) if record.told_ms else None,
            muted=muted,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MuteInfo:
    """That nobody is told of some alerts for a while."""

    rule: str
    """A rule, or a pattern of rules."""
    queue: str
    """A queue, or a pattern of queues."""
    until: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsentInfo:
    """A message that a channel could not send yet."""

    channel: str
    title: str
    at: datetime
    tries: int
    error: str
    """Of the last try. Empty: there was none yet."""


class Alerts:
    """Alerts of a store. They are watched by the workers of an app that has `alerts=`."""

    def __init__(
        self,
        backend: Callable[[], Backend],
        operations: Operations,
        setup: AlertSetup | None,
    ) -> None:
        """Make it.

        Parameters:
            backend: Returns the store.
            operations: What people do is told there.
            setup: Of an app that declares alerts.
        """
        self._backend = backend
        self._operations = operations
        self._setup = setup

    @property
    def watched(self) -> bool:
        """Whether the app declares alerts, so that its workers watch."""
        return self._setup is not None

    async def list(self) -> list[AlertInfo]:
        """Return the alerts that are raised, pending, or have recovered within their cool-down."""
        backend = self._backend()
        rows = await backend.alerts.rows(["alert", "mute"])
        now_ms = backend.clock.now_ms()
        mutes = [
            one for one in read_rows(rows, "mute", MuteRecord).values() if one.until_ms > now_ms
        ]
        return [
            AlertInfo.from_record(one, muted=is_muted(one, mutes))
            for one in read_rows(rows, "alert", AlertRecord).values()
        ]

    async def mutes(self) -> Sequence[MuteInfo]:
        """Return what is muted now."""
        backend = self._backend()
        now_ms = backend.clock.now_ms()
        found = read_rows(await backend.alerts.rows(["mute"]), "mute", MuteRecord)
        return [
            MuteInfo(
                rule=one.rule,
                queue=one.queue,
                until=moment(one.until_ms),
                by=one.by,
                reason=one.reason,
            )
            for one in found.values()
            if one.until_ms > now_ms
        ]

    async def unsent(self) -> Sequence[UnsentInfo]:
        """Return the messages that wait to be sent."""
        found = read_rows(await self._backend().alerts.rows(["message"]), "message", UnsentRecord)
        return [
            UnsentInfo(
                channel=one.channel,
                title=one.message.title,
                at=moment(one.made_ms),
                tries=one.tries,
                error=one.error,
            )
            for one in found.values()
        ]

    async def mute(
        self,
        rule: str = "*",
        queue: str = "*",
        *,
        duration: float | timedelta,
        by: str = "",
        reason: str = "",
    ) -> MuteInfo:
        """Tell nobody of some alerts for a while. What is still raised then is told.

        Parameters:
            rule: Which; `*` stands for any characters.
            queue: Of which queue; likewise.
            duration: For how long, in seconds.
            by: Who wants it so, for `toril alerts list`.
            reason: Why.

        Raises:
            InvalidOptionError: There is no such rule, or the duration is 0.
        """
        _check_rule(rule)
        wanted_s = seconds(duration, "duration")
        require(wanted_s > 0, "duration", duration, "seconds, above 0")
        backend = self._backend()
        record = MuteRecord(
            rule=rule,
            queue=queue,
            until_ms=backend.clock.now_ms() + round(wanted_s * 1000),
            by=by,
            reason=reason,
        )
        async with self._operations.doing("alerts.mute", rule=rule, queue=queue, why=reason):
            await backend.alerts.change([row("mute", key_of(rule, queue), record)])
        return MuteInfo(rule=rule, queue=queue, until=moment(record.until_ms), by=by, reason=reason)

    async def unmute(self, rule: str = "*", queue: str = "*") -> bool:
        """End what `mute` began with the same words; return whether there was such."""
        backend = self._backend()
        key = key_of(rule, queue)
        if all(one.key != key for one in await backend.alerts.rows(["mute"])):
            return False
        async with self._operations.doing("alerts.unmute", rule=rule, queue=queue):
            await backend.alerts.change((), [AlertRow("mute", key)])
        return True

    async def test(self) -> dict[str, str | None]:
        """Send a test by each channel of the app; return what went wrong, by channel.

        Raises:
            InvalidOptionError: The app has no channels.
        """
        options = self._require("test").options
        backend = self._backend()
        message = sample(
            options.source or without_password(backend.url),
            now_ms=backend.clock.now_ms(),
            message_id=f"test-{token_hex(6)}",
        )

        async def one(channel: Any) -> str | None:
            try:
                async with asyncio.timeout(SEND_S):
                    await channel.send(message)
            except TimeoutError:
                return f"no answer within {SEND_S:g} s"
            except Exception as error:
                text = " ".join(without_passwords(str(error)).split())
                return text or type(error).__name__
            return None

        told = await asyncio.gather(*map(one, options.channels))
        names = [channel.name for channel in options.channels]
        return dict(zip(names, told, strict=True))

    async def run(self) -> None:
        """Watch until cancelled, in a process that is no worker, such as a web server.

        Workers of an app with `alerts=` do so by themselves. But when no worker is left, only such
        a process can tell.

        Raises:
            InvalidOptionError: The app has no channels.
        """
        await self._require("run").watch().run()

    def _require(self, method: str) -> AlertSetup:
        if self._setup is None:
            raise InvalidOptionError(
                f"alerts.{method}: the app has no channels; give it some:"
                " App(alerts=AlertOptions(channels=[...]))"
            )
        return self._setup


def _check_rule(rule: str) -> None:
    if "*" not in rule and rule not in RULES:
        raise InvalidOptionError(unknown("rule", rule, RULES))
