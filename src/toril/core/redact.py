"""Hides what nobody may read over a shoulder."""

from __future__ import annotations

import re

_SECRET_OPTION = re.compile(r"(password=)[^&]*")


def without_password(url: str) -> str:
    """Return a URL in which passwords are `***`. One without any is returned as it is."""
    scheme, separator, rest = url.partition("://")
    userinfo, at, place = rest.rpartition("@")  # an @ in a password does no harm
    user, colon, _ = userinfo.partition(":")
    if at and colon:
        rest = f"{user}:***@{place}"
    return _SECRET_OPTION.sub(r"\1***", f"{scheme}{separator}{rest}")
