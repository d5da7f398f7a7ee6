"""What a server says of itself: settings without secrets, extras whose libraries are installed."""

from __future__ import annotations

import importlib.util
from dataclasses import fields, replace
from functools import cache
from typing import Any

from toril.core.redact import without_password
from toril.rest.answers import Setting
from toril.settings import Settings

SECRETS = frozenset({"admin_key", "encryption_keys"})
"""Settings of which is said only whether there are some."""
ADDRESSES = frozenset({"url", "smtp_url"})
"""Settings that may hold a password."""
_EXTRAS = {
    "apprise": "apprise",
    "client": "httpx2",
    "dashboard": "jinja2",
    "django": "django",
    "http": "aiohttp",
    "mail": "aiosmtplib",
    "media": "PIL",
    "metrics": "prometheus_client",
    "otel": "opentelemetry",
    "pydantic": "pydantic",
    "redis": "hiredis",
    "reload": "watchfiles",
    "sealed": "cryptography",
    "uvloop": "uvloop",
    "web": "starlette",
}
"""Extra to a module that it brings."""


def shown_settings(settings: Settings, store: str) -> list[Setting]:
    """Return all settings, without secrets.

    Parameters:
        settings: Of the app.
        store: The URL that counts, since an app may have been given one.
    """
    default, settings = Settings(), replace(settings, url=store)
    return [
        Setting(
            name=field.name,
            value=_shown(field.name, getattr(settings, field.name)),
            is_default=getattr(settings, field.name) == getattr(default, field.name),
        )
        for field in fields(Settings)
    ]


@cache
def _installed() -> tuple[str, ...]:
    return tuple(extra for extra, name in _EXTRAS.items() if importlib.util.find_spec(name))


def installed_extras() -> list[str]:
    """Return the extras whose libraries are installed."""
    return list(_installed())


def _shown(name: str, value: Any) -> str:
    if value is None or value == ():
        return ""
    if name in SECRETS:
        return "***" if isinstance(value, str) else ", ".join("***" for _ in value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return without_password(str(value)) if name in ADDRESSES else str(value)
