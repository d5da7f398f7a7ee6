"""Whom alerts go to, as an environment says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from toril import InvalidSettingError
from toril.alerts.environment import alerts_from_environment
from toril.alerts.message import AlertMessage
from toril.alerts.options import AlertThresholds

SECRET = "a-secret-of-24-bytes-or-more"
NOON = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
MESSAGE = AlertMessage(
    id="1", rule="error_rate", queue="jobs", state="raised", value=0.5, threshold=0.1,
    text="half of it failed", at=NOON, since=NOON, source="shop",
)  # fmt: skip


def test_nothing_set_is_no_alerts() -> None:
    assert alerts_from_environment({}) is None
    assert alerts_from_environment({"ALERT_EMAIL_TO": " , ", "ALERT_WEBHOOK_URL": ""}) is None


def test_addresses_are_one_channel_and_a_webhook_is_another() -> None:
    found = alerts_from_environment(
        {
            "ALERT_EMAIL_TO": "ops@example.com, jo@example.com",
            "ALERT_WEBHOOK_URL": "https://example.com/hook",
            "ALERT_WEBHOOK_SECRET": SECRET,
        },
        thresholds=AlertThresholds(size=5),
    )

    assert found is not None
    assert [channel.name for channel in found.channels] == ["mail", "webhook"]
    assert found.thresholds.size == 5


async def test_mails_go_to_a_folder_where_no_server_is_set(tmp_path: Path) -> None:
    found = alerts_from_environment(
        {"ALERT_EMAIL_TO": "ops@example.com,jo@example.com"}, folder=tmp_path / "mail"
    )
    assert found is not None
    (channel,) = found.channels

    await channel.send(MESSAGE)

    (mail,) = (tmp_path / "mail").glob("*.eml")
    assert "ops@example.com" in mail.read_text()
    assert "jo@example.com" in mail.read_text()


def test_spans_are_seconds() -> None:
    spans = {"ALERT_EVERY_S": "0.5", "ALERT_COOLDOWN_S": "60", "ALERT_RECOVERY_S": "1"}
    made = alerts_from_environment({"ALERT_EMAIL_TO": "ops@example.com", **spans})

    assert made is not None
    assert (made.every_s, made.cooldown_s, made.recovery_s) == (0.5, 60, 1)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"ALERT_EMAIL_TO": "ops"}, "ALERT_EMAIL_TO: "),
        ({"ALERT_WEBHOOK_URL": "https://example.com/hook"}, "ALERT_WEBHOOK_SECRET is not set"),
        (
            {"ALERT_WEBHOOK_URL": "https://example.com/hook", "ALERT_WEBHOOK_SECRET": "short"},
            "ALERT_WEBHOOK_SECRET: secret",
        ),
        ({"ALERT_WEBHOOK_URL": "ftp://x", "ALERT_WEBHOOK_SECRET": SECRET}, "url="),
        ({"ALERT_EVERY_S": "soon"}, "ALERT_EVERY_S='soon'"),
        ({"ALERT_RECOVERY_S": "0"}, "ALERT_RECOVERY_S='0'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(environ: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidSettingError) as caught:
        alerts_from_environment(environ)

    assert said in str(caught.value)
    assert "short" not in str(caught.value)
