"""Alerts as an environment asks for them."""

from __future__ import annotations

import pytest

from toril.alerts.environment import alerts_from_environment
from toril.alerts.options import AlertThresholds
from toril.core.errors import InvalidSettingError

HOOK = {
    "ALERT_WEBHOOK_URL": "https://hooks.example.com/a",
    "ALERT_WEBHOOK_SECRET": "of the receiver and us alone",
}


@pytest.mark.parametrize(
    ("environ", "channels"),
    [
        ({"ALERT_EMAIL_TO": "a@example.com, b@example.com"}, ["mail"]),
        (HOOK, ["webhook"]),
        ({**HOOK, "ALERT_EMAIL_TO": "a@example.com"}, ["mail", "webhook"]),
    ],
)
def test_channels_are_those_that_are_named(environ: dict[str, str], channels: list[str]) -> None:
    made = alerts_from_environment(environ, thresholds=AlertThresholds(size=5))

    assert made is not None
    assert [one.name for one in made.channels] == channels
    assert made.thresholds.size == 5


def test_spans_are_seconds() -> None:
    spans = {"ALERT_EVERY_S": "0.5", "ALERT_COOLDOWN_S": "60", "ALERT_RECOVERY_S": "1"}
    made = alerts_from_environment({**HOOK, **spans})

    assert made is not None
    assert (made.every_s, made.cooldown_s, made.recovery_s) == (0.5, 60, 1)


def test_without_a_channel_there_are_no_alerts() -> None:
    assert alerts_from_environment({"ALERT_EMAIL_TO": " , "}) is None


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"ALERT_EMAIL_TO": "nobody"}, "ALERT_EMAIL_TO"),
        ({"ALERT_WEBHOOK_URL": "https://a.example.com"}, "ALERT_WEBHOOK_SECRET is not set"),
        ({**HOOK, "ALERT_WEBHOOK_URL": "ftp://a"}, "ALERT_WEBHOOK_URL"),
        ({**HOOK, "ALERT_WEBHOOK_SECRET": "short"}, "ALERT_WEBHOOK_SECRET"),
        ({**HOOK, "ALERT_EVERY_S": "soon"}, "ALERT_EVERY_S='soon'"),
        ({**HOOK, "ALERT_RECOVERY_S": "0"}, "ALERT_RECOVERY_S='0'"),
    ],
)
def test_setting_that_makes_no_sense_is_named(environ: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidSettingError, match=named):
        alerts_from_environment(environ)
