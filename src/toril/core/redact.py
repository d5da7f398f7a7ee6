"""Replaces passwords in URLs by `***`, before a URL is shown or logged."""

from __future__ import annotations

import re

_SECRET_OPTION = re.compile(r"(password=)[^&]*")
_SECRET_OPTION_WITHIN = re.compile(r"(password=)[^&\s'\")]*")
_BEFORE_AT = re.compile(
    r"((?:[\w+.-]*(?:://|//|:/)|(?:rediss?|unix)[\w+]*:(?=[^@\s]*:))?[^\s:@/]*):\S*@"
)
"""A URL up to the end of its password, also one whose scheme is misspelt."""


def without_password(url: str) -> str:
    """Return a URL in which passwords are `***`. One without any is returned as it is."""
    scheme, separator, rest = url.partition("://")
    userinfo, at, place = rest.rpartition("@")  # an @ in a password does no harm
    user, colon, _ = userinfo.partition(":")
    if at and colon:
        rest = f"{user}:***@{place}"
    shown = f"{scheme}{separator}{rest}" if separator else _BEFORE_AT.sub(r"\1:***@", url)
    return _SECRET_OPTION.sub(r"\1***", shown)


def without_passwords(text: str) -> str:
    """Return a sentence in which the passwords of all URLs are `***`, also of mistyped ones."""
    return _SECRET_OPTION_WITHIN.sub(r"\1***", _BEFORE_AT.sub(r"\1:***@", text))
