"""Reads settings from the environment and from `toril.toml`.

Order: an explicit argument, the environment, `toril.toml` in the working directory, the default.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from toril.core import durations
from toril.core.checks import nearest, unknown
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.core.masking import Masker
from toril.engine.profiles import Profile

DEFAULT_URL = "sqlite:///toril.db"
FILE = "toril.toml"
MIN_ADMIN_KEY_CHARS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, with its default."""

    url: str = field(default=DEFAULT_URL, repr=False)
    """Where jobs live. `TORIL_URL`."""
    fallback_url: str | None = field(default=None, repr=False)
    """A file to which jobs go while the Redis server is away, such as `sqlite:///spool.db`. It is
    not used by an app whose store is a file. `TORIL_FALLBACK_URL`, or `FALLBACK_URL`."""
    durability: Literal["full", "normal"] = "full"
    """Whether an acknowledged job survives a loss of power. `TORIL_DURABILITY`."""
    share: Literal["owner", "group"] = "owner"
    """Who may use a file that is made: its owner alone, or its group as well. `TORIL_SHARE`."""
    concurrency: int | None = None
    """Jobs at once of a worker. None: its profile's, else 10. `TORIL_CONCURRENCY`."""
    shutdown_s: float = 25.0
    """How long a stopping worker lets jobs go on, in seconds. `TORIL_SHUTDOWN`."""
    max_stalled: int = 1
    """How often a job that was begun may lose its worker before it fails. `TORIL_MAX_STALLED`."""
    profile: Profile | None = None
    """Which queues `toril worker` takes; `all` for none. `TORIL_PROFILE`, or `WORKER_TYPE`."""
    answer_timeout_s: float = 15.0
    """After how long without any answer a connection to a Redis server is given up, in seconds. The
    option of that name in a URL goes before. `TORIL_ANSWER_TIMEOUT`."""
    timezone: str = "UTC"
    """Whose local time the expressions of schedules mean that do not say. `TORIL_TIMEZONE`."""
    encryption_keys: tuple[str, ...] = field(default=(), repr=False)
    """Keys of sealed fields, 32 bytes in base64 each: the first seals, all of them open.
    `TORIL_ENCRYPTION_KEYS`, with commas between them."""
    audit: Literal["people", "all", "off"] = "people"
    """What the audit log in the store records: what people do, by the command line, a server or
    `acting`; what programs do as well; or nothing. `TORIL_AUDIT`."""
    audit_keep: int = 10_000
    """How many entries the audit log keeps. `TORIL_AUDIT_KEEP`."""
    mask: tuple[str, ...] = ()
    """Further fields that a server and the audit log show as `***`, such as `iban` or
    `card.number`; in the environment with commas between. `TORIL_MASK`."""
    admin_key: str | None = field(default=None, repr=False)
    """A key of an administrator for `toril.web`, of 32 characters or more, that is kept nowhere
    else. None: the first start of a server makes one. `TORIL_ADMIN_KEY`."""
    smtp_url: str | None = field(default=None, repr=False)
    """The mail server of alerts, such as `smtp://user:password@host:587`. None: mails are written
    into the folder `mail`. `TORIL_SMTP_URL`, or `SMTP_URL`."""
    mail_from: str | None = None
    """The sender of mails. None: `toril@` and the mail server's name. `TORIL_MAIL_FROM`."""
    egress_allow: tuple[str, ...] = ()
    """Hosts and networks of yours that requests of webhooks may reach although they are not public,
    such as `hooks.internal` or `10.1.0.0/16`; in the environment with commas between.
    `TORIL_EGRESS_ALLOW`."""
    outbox: str | None = field(default=None, repr=False)
    """The database whose transactions add jobs, by a URL of SQLAlchemy such as
    `postgresql+psycopg://host/shop`; in a Django project, by its name in `DATABASES`. None: there
    is none. `TORIL_OUTBOX`."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much the command line logs. `TORIL_LOG_LEVEL`."""

    @classmethod
    def load(
        cls,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        *,
        in_place_of_file: Mapping[str, tuple[str, object]] | None = None,
    ) -> Settings:
        """Read the environment and the file.

        Parameters:
            environment: Default: this process'.
            folder: Where to look for `toril.toml`. Default: the working directory.
            in_place_of_file: The settings of a framework, by our names: what it calls each, for
                messages, and the value. No file is read then.

        Raises:
            InvalidSettingError: A setting is unknown or makes no sense; the message names it, its
                value and what would do.
        """
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        if in_place_of_file is None:
            read = _read_file((folder or Path()) / FILE)
            in_place_of_file = {name: (f"{FILE}: {name}", read[name]) for name in read}
        for name, (source, value) in in_place_of_file.items():
            values[name] = _parse(source, name, value)
        for variable, name in VARIABLES.items():
            if environment.get(variable):
                values[name] = _parse(variable, name, environment[variable])
        return cls(**values)


# Later ones win.
VARIABLES = {
    "TORIL_URL": "url",
    "FALLBACK_URL": "fallback_url",
    "TORIL_FALLBACK_URL": "fallback_url",
    "TORIL_DURABILITY": "durability",
    "TORIL_SHARE": "share",
    "TORIL_CONCURRENCY": "concurrency",
    "TORIL_SHUTDOWN": "shutdown_s",
    "TORIL_MAX_STALLED": "max_stalled",
    "TORIL_TIMEZONE": "timezone",
    "WORKER_TYPE": "profile",
    "TORIL_PROFILE": "profile",
    "TORIL_ANSWER_TIMEOUT": "answer_timeout_s",
    "TORIL_ENCRYPTION_KEYS": "encryption_keys",
    "TORIL_AUDIT": "audit",
    "TORIL_AUDIT_KEEP": "audit_keep",
    "TORIL_MASK": "mask",
    "TORIL_ADMIN_KEY": "admin_key",
    "SMTP_URL": "smtp_url",
    "TORIL_SMTP_URL": "smtp_url",
    "TORIL_MAIL_FROM": "mail_from",
    "TORIL_EGRESS_ALLOW": "egress_allow",
    "TORIL_OUTBOX": "outbox",
    "TORIL_LOG_LEVEL": "log_level",
}


OTHER_VARIABLES = ("TORIL_CHILD", "TORIL_ENV", "TORIL_KEY", "TORIL_SERVER")
"""Variables that Toril reads by itself and that are no settings."""
_PREFIX = "TORIL_"
_ALIKE = 0.75
"""How alike two names are, without the prefix, where one is probably meant to be the other."""


def misspelt(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return a sentence for each variable that looks like a setting and is none.

    Variables that are like no setting are somebody else's: Kubernetes has `TORIL_SERVICE_HOST`.

    Parameters:
        environment: Default: this process'.
    """
    environment = os.environ if environment is None else environment
    known = {
        name.removeprefix(_PREFIX) for name in (*VARIABLES, *OTHER_VARIABLES) if _PREFIX in name
    }
    found = []
    for variable in sorted(environment):
        word = variable.removeprefix(_PREFIX)
        if word == variable or word in known:
            continue
        meant = nearest(word, known, least=_ALIKE)
        if meant is not None:
            found.append(f"{variable} is ignored: did you mean {_PREFIX}{meant}?")
    return found


def _read_file(path: Path) -> dict[str, Any]:
    if path.is_dir():  # Docker makes one where the file is missing that a container mounts
        raise InvalidSettingError(f"{path} is a folder: expected a file of settings, or nothing")
    if not path.exists():
        if path.is_symlink():
            raise InvalidSettingError(f"{path} is a link to nothing: expected a file of settings")
        return {}
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSettingError(f"{path}: not TOML: {error}") from None
    known = [field.name for field in fields(Settings)]
    for name in content:
        if name not in known:
            raise InvalidSettingError(f"{path}: {unknown('setting', name, known)}")
    return content


def _parse(source: str, name: str, value: object) -> object:
    try:
        return _PARSERS[name](source, value)
    except InvalidOptionError as error:
        raise InvalidSettingError(str(error)) from None


def _word(*words: str) -> Callable[[str, object], str]:
    def parse(source: str, value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise InvalidOptionError(f"{source}={value!r}: expected one of {', '.join(words)}")
        return value

    return parse


def _secret_text(source: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidOptionError(f"{source}: expected a text")
    return value


def _admin_key(source: str, value: object) -> str:
    good = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value
    if not good or len(str(value)) < MIN_ADMIN_KEY_CHARS:
        raise InvalidOptionError(
            f"{source}: expected {MIN_ADMIN_KEY_CHARS} or more visible ASCII characters without a"
            " space, such as `openssl rand -hex 32` prints"
        )
    return str(value)


def _fields(source: str, value: object) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidOptionError(f"{source}={value!r}: expected names of fields")
    rules = tuple(name.strip() for name in names if name.strip())
    Masker(rules)
    return rules


def _mail_address(source: str, value: object) -> str:
    from toril.services.mail.port import check_address  # not needed by most programs

    check_address(source, value)
    return str(value)


def _egress_allow(source: str, value: object) -> tuple[str, ...]:
    from toril.services.http.egress import EgressPolicy  # likewise

    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InvalidOptionError(f"{source}={value!r}: expected hosts and networks")
    allowed = tuple(word.strip() for word in words if word.strip())
    EgressPolicy(allowed)
    return allowed


def _whole(source: str, value: object, *, least: int = 1) -> int:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidOptionError(f"{source}={value!r}: expected an integer from {least}")
    return value


def _duration(source: str, value: object) -> float:
    if isinstance(value, str):
        return durations.parse(value, source)
    return durations.seconds(cast("float", value), source)


def _some_time(source: str, value: object) -> float:
    seconds = _duration(source, value)
    if not 0 < seconds < 3600:
        raise InvalidOptionError(f"{source}={value!r}: expected more than 0 and less than an hour")
    return seconds


def _timezone(source: str, value: object) -> str:
    from toril.engine.schedules.cron import zone  # not needed by most commands

    return zone(value, option=source).key


def _keys(source: str, value: object) -> tuple[str, ...]:
    from toril.core.sealing import parse_key  # not needed by most programs

    keys = value.split(",") if isinstance(value, str) else value
    if not isinstance(keys, list):
        raise InvalidOptionError(f"{source}: expected keys in base64, with commas between them")
    return tuple(parse_key(source, key) for key in keys if key != "")


def _profile(source: str, value: object) -> Profile | None:
    if value == "all":
        return None
    words = [*Profile, "all"]
    if not isinstance(value, str) or value not in words:
        text = unknown("profile", str(value), words)
        listed = "" if "known are" in text else f" It is one of {', '.join(words)}"
        raise InvalidOptionError(f"{source}: {text}{listed}")
    return Profile(value)


_PARSERS: dict[str, Callable[[str, object], object]] = {
    "url": _secret_text,
    "fallback_url": _secret_text,
    "durability": _word("full", "normal"),
    "share": _word("owner", "group"),
    "concurrency": _whole,
    "max_stalled": partial(_whole, least=0),
    "shutdown_s": _duration,
    "profile": _profile,
    "answer_timeout_s": _some_time,
    "timezone": _timezone,
    "encryption_keys": _keys,
    "audit": _word("people", "all", "off"),
    "audit_keep": _whole,
    "mask": _fields,
    "admin_key": _admin_key,
    # Looked at by who sends mail: other programs have a variable of this name, too.
    "smtp_url": _secret_text,
    "mail_from": _mail_address,
    "egress_allow": _egress_allow,
    "outbox": _secret_text,
    "log_level": _word("debug", "info", "warning", "error"),
}
