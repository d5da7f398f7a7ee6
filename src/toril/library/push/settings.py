"""Who sends and how: keys, limits, and where subscriptions are."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toril.core.checks import is_whole, require
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.services.http.egress import SETTING as EGRESS_SETTING
from toril.services.http.egress import EgressPolicy
from toril.services.push.port import PushMessage, Urgency
from toril.services.push.vapid import VapidKeys

_PUBLIC = ("VAPID_PUBLIC_KEY", "NEXT_PUBLIC_VAPID_PUBLIC_KEY")
_PRIVATE = ("VAPID_PRIVATE_KEY",)
_SUBJECT = ("VAPID_SUBJECT", "NEXT_PUBLIC_VAPID_SUBJECT")
_SQLITE_FILE = re.compile(r"(sqlite(?:\+\w+)?):///(?!/|file:)(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings:
    """Everything that push work is told once.

    Raises:
        InvalidOptionError: A value makes no sense; the message names it and what would do.
    """

    vapid: VapidKeys | None = None
    """The application's keys. None: messages are written into `folder`."""
    folder: Path = Path("push")
    """Where messages go without keys, one file each."""
    database_url: str = field(default="sqlite:///push.db", repr=False)
    """Where subscriptions are: a SQLite file or PostgreSQL. May hold a password."""
    egress_allow: tuple[str, ...] = ()
    """Hosts and networks of yours that endpoints may be in although they are not public."""
    ttl_s: int = 86_400
    """How long push services keep a message for a browser that is away, in seconds."""
    urgency: Urgency = "normal"
    """`very-low`, `low`, `normal` or `high`: which browsers that save power take it."""
    timeout_s: float = 10.0
    """How long a push service may take to answer, in seconds: 1 to 30."""
    concurrency: int = 50
    """How many requests of one job are in flight at most. From 1."""

    def __post_init__(self) -> None:
        EgressPolicy(self.egress_allow)
        PushMessage(body=b"", ttl_s=self.ttl_s, urgency=self.urgency)
        require(1 <= self.timeout_s <= 30, "timeout_s", self.timeout_s, "seconds, 1 to 30")
        good = is_whole(self.concurrency) and self.concurrency >= 1
        require(good, "concurrency", self.concurrency, "an integer from 1")
        object.__setattr__(self, "folder", Path(os.path.abspath(self.folder)))
        object.__setattr__(self, "database_url", _absolute(self.database_url))

    @property
    def policy(self) -> EgressPolicy:
        """Where endpoints may be."""
        return EgressPolicy(self.egress_allow)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> PushSettings:
        """Return the settings that the environment asks for; defaults for the rest.

        Reads `VAPID_PUBLIC_KEY` (or `NEXT_PUBLIC_VAPID_PUBLIC_KEY`), `VAPID_PRIVATE_KEY` and
        `VAPID_SUBJECT` (or `NEXT_PUBLIC_VAPID_SUBJECT`), `PUSH_FOLDER`, `PUSH_DATABASE_URL`,
        `PUSH_TTL`, `PUSH_URGENCY`, `PUSH_TIMEOUT`, `PUSH_CONCURRENCY`, and `TORIL_EGRESS_ALLOW`
        with commas between its words. Empty means unset.

        Parameters:
            environ: Where to read. Default: the process's own environment.

        Raises:
            InvalidSettingError: With the variable's name, its value and what would do.
        """
        environ = os.environ if environ is None else environ
        given: dict[str, Any] = {}
        vapid = _vapid(environ)
        if vapid is not None:
            given["vapid"] = vapid
        for variable, (option, read) in _VARIABLES.items():
            text = environ.get(variable, "").strip()
            if not text:
                continue
            try:
                given[option] = read(text)
                cls(**{option: given[option]})  # alone, so that the error can say which it is
            except InvalidOptionError as error:
                shown = "" if option == "database_url" else f"={text!r}"
                raise InvalidSettingError(f"{variable}{shown}: {error}") from None
            except ValueError:
                raise InvalidSettingError(f"{variable}={text!r}: expected a number") from None
        return cls(**given)


def _vapid(environ: Mapping[str, str]) -> VapidKeys | None:
    """Return the keys of the environment; None if it has none.

    Raises:
        InvalidSettingError: Some of it is missing or wrong; the message names the variable.
    """
    public_name, public = _first(environ, _PUBLIC)
    private_name, private = _first(environ, _PRIVATE)
    subject_name, subject = _first(environ, _SUBJECT)
    if not public and not private:
        return None
    for name, value in ((public_name, public), (private_name, private)):
        if not value:
            other = private_name if name == public_name else public_name
            raise InvalidSettingError(
                f"{name} is not set, but {other} is: set both; `toril vapid` makes a pair"
            )
    if not subject:
        raise InvalidSettingError(
            f"{subject_name} is not set: set it to whom push services may write to: mailto: and an"
            " address, or an https:// URL"
        )
    try:
        return VapidKeys(
            public_key=public,
            private_key=private,
            subject=subject,
            public_name=public_name,
            private_name=private_name,
            subject_name=subject_name,
        )
    except InvalidOptionError as error:
        raise InvalidSettingError(str(error)) from None


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    """Return the first of these variables that is set, with its name; else the first name."""
    for name in names:
        if value := environ.get(name, "").strip():
            return name, value
    return names[0], ""


def _absolute(url: str) -> str:
    """Return a URL whose file means the same in a process that stands in another folder."""
    file = _SQLITE_FILE.fullmatch(url)
    if file is None:
        return url
    path, question, options = file[2].partition("?")
    return f"{file[1]}:///{os.path.abspath(path)}{question}{options}"


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


_VARIABLES: dict[str, tuple[str, Callable[[str], object]]] = {
    "PUSH_FOLDER": ("folder", Path),
    "PUSH_DATABASE_URL": ("database_url", str),
    "PUSH_TTL": ("ttl_s", int),
    "PUSH_URGENCY": ("urgency", str),
    "PUSH_TIMEOUT": ("timeout_s", float),
    "PUSH_CONCURRENCY": ("concurrency", int),
    EGRESS_SETTING: ("egress_allow", _words),
}
