"""What a reader has chosen: theme, time zone, language. Kept in cookies, so nobody need sign in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from starlette.requests import HTTPConnection

from toril.web.dashboard.messages import LANGUAGES, chosen

THEMES = ("auto", "light", "dark")
LASTS_S = 365 * 86_400
MAX_ZONE_CHARS = 64


class Preferences(msgspec.Struct, frozen=True, kw_only=True):
    """What one reader has chosen."""

    theme: str
    zone: str
    """`UTC`, or `local`."""
    local_zone: str
    """The name of the browser's own zone, which a script has noted. Empty: not known."""
    language: str
    quiet: bool
    """Pages do not follow what happens until the reader says so."""

    @property
    def tz(self) -> tzinfo:
        """The zone in which moments are shown."""
        if self.zone == "local" and self.local_zone:
            try:
                return ZoneInfo(self.local_zone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                return UTC
        return UTC


def preferences_of(connection: HTTPConnection) -> Preferences:
    """Return what the reader of a request has chosen."""
    cookies = connection.cookies
    theme = cookies.get("toril_theme", "auto")
    zone = cookies.get("toril_zone", "UTC")
    return Preferences(
        theme=theme if theme in THEMES else "auto",
        zone=zone if zone in ("UTC", "local") else "UTC",
        local_zone=cookies.get("toril_tz", "").replace("%2F", "/")[:MAX_ZONE_CHARS],
        language=chosen(cookies.get("toril_lang"), connection.headers.get("accept-language", "en")),
        quiet=cookies.get("toril_live") == "off",
    )


_CHOICES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "theme": ("toril_theme", THEMES),
    "zone": ("toril_zone", ("UTC", "local")),
    "language": ("toril_lang", tuple(LANGUAGES)),
    "live": ("toril_live", ("on", "off")),
}


def cookies_for(form: Mapping[str, list[str]], root: str) -> list[str]:
    """Return a `Set-Cookie` for each choice in a form; what makes no sense is left out.

    Parameters:
        form: What was sent.
        root: Where the dashboard is mounted.
    """
    made = []
    for name, (cookie, allowed) in _CHOICES.items():
        value = (form.get(name) or [""])[-1]
        if value in allowed:
            made.append(f"{cookie}={value}; Path={root or '/'}; Max-Age={LASTS_S}; SameSite=Lax")
    return made
