"""Replaces passwords in URLs by `***`, before a URL is shown or logged."""

from __future__ import annotations

import re

_SECRET_OPTION = re.compile(r"(password=)[^&]*")
_SECRET_OPTION_WITHIN = re.compile(r"(password=)[^&\s'\")]*")
_WORD = re.compile(r"\S+")
_BEFORE_AT = re.compile(
    r"((?:[\w+.-]{0,64}(?:://|//|:/)|(?:rediss?|unix)[\w+]{0,16}:(?=[^@\s]*:))[^\s:@/]*"
    r"|[^\s:@/]{0,64}):\S*@"
)
"""A URL up to the end of its password, also one whose scheme is misspelt. The bounds keep a long
word from being read again from each of its letters."""


def without_password(url: str) -> str:
    """Return a URL in which passwords are `***`. One without any is returned as it is."""
    scheme, separator, rest = url.partition("://")
    userinfo, at, place = rest.rpartition("@")  # an @ in a password does no harm
    user, colon, _ = userinfo.partition(":")
    if at and colon:
        rest = f"{user}:***@{place}"
    shown = f"{scheme}{separator}{rest}" if separator else _before_at(url)
    return _SECRET_OPTION.sub(r"\1***", shown)


def without_passwords(text: str) -> str:
    """Return a sentence in which the passwords of all URLs are `***`, also of mistyped ones."""
    return _SECRET_OPTION_WITHIN.sub(r"\1***", _before_at(text))


def _before_at(text: str) -> str:
    # Strangers choose these texts, such as names in a request's path: word by word, and only words
    # with a colon before their last @, the time grows with the length and not with its square.
    return _WORD.sub(_in_word, text)


def _in_word(found: re.Match[str]) -> str:
    before, at, after = found[0].rpartition("@")
    if ":" not in before:
        return found[0]
    return _BEFORE_AT.sub(r"\1:***@", before + at) + after
