"""What the e-mail tasks may be told, by argument or environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from toril.core.checks import is_whole, require
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.services.http.egress import EgressPolicy
from toril.services.mail.port import check_address
from toril.services.mail.smtp_url import read_smtp_url

Provider = Literal["smtp", "sendgrid", "folder", "memory"]
PROVIDERS = ("smtp", "sendgrid", "folder", "memory")
MIN_KEY_CHARS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailSettings:
    """Settings of the e-mail tasks."""

    sender: str
    """Who sends: `shop@example.com`, or `Shop <shop@example.com>`."""
    provider: Provider | None = None
    """What mails go through. Default: `sendgrid` with a key, else `smtp` with a URL, else
    `folder`."""
    smtp_url: str | None = field(default=None, repr=False)
    """The mail server: `smtp://user:password@host:587`."""
    smtp_connections: int = 4
    """Open at once, in one process."""
    smtp_timeout_s: float = 30.0
    """For each step of a conversation but the last, in seconds."""
    smtp_answer_timeout_s: float = 120.0
    """How long a server may take to answer once it has all of a mail, in seconds."""
    sendgrid_key: str | None = field(default=None, repr=False)
    sendgrid_url: str = "https://api.sendgrid.com"
    folder: Path = Path("mail")
    """Where the provider `folder` writes `.eml` files."""
    templates: Path | None = None
    """A folder of templates beside the shipped ones."""
    brand: str | None = None
    """The name that shipped templates show."""
    attachment_root: Path | None = None
    """Where `path` of an attachment is looked for. None: no attachment may name a path."""
    max_attachment_bytes: int = 10 * 1024 * 1024
    """Of all attachments of a mail together, before they are encoded, which makes a third more."""
    max_attachments: int = 20
    egress_allow: tuple[str, ...] = ()
    """Hosts and networks that `url` of an attachment may reach although they are not public."""
    max_recipients: int = 100
    """Of one mail. Bulk jobs are split instead."""
    max_per_s: float | None = None
    """Mails a second of one worker process. None: no limit."""
    unsubscribe_url: str | None = None
    """Where a receiver of bulk mail unsubscribes; `{token}` in it becomes who it is."""
    unsubscribe_key: str | None = field(default=None, repr=False)
    """Signs these tokens: any text of 16 characters or more, which only you know."""
    database_url: str = field(default="sqlite:///email.db", repr=False)
    """Where the suppression list is kept: a SQLite file or PostgreSQL."""

    def __post_init__(self) -> None:
        check_address("sender", self.sender)
        known = self.provider is None or self.provider in PROVIDERS
        require(
            known, "provider", self.provider, ", ".join(PROVIDERS[:-1]) + f" or {PROVIDERS[-1]}"
        )
        if self.smtp_url is not None:
            read_smtp_url(self.smtp_url)
        for provider, option in (("smtp", "smtp_url"), ("sendgrid", "sendgrid_key")):
            missing = self.provider == provider and getattr(self, option) is None
            require(not missing, option, None, f"a value, as provider={provider!r} needs it")
        for name in ("smtp_connections", "max_attachment_bytes", "max_recipients"):
            number = getattr(self, name)
            require(is_whole(number) and number >= 1, name, number, "an integer from 1")
        require(is_whole(self.max_attachments) and self.max_attachments >= 0,
                "max_attachments", self.max_attachments, "an integer from 0")  # fmt: skip
        for name in ("smtp_timeout_s", "smtp_answer_timeout_s"):
            require(getattr(self, name) > 0, name, getattr(self, name), "seconds, above 0")
        require(self.max_per_s is None or self.max_per_s > 0,
                "max_per_s", self.max_per_s, "mails a second, above 0")  # fmt: skip
        for name in ("templates", "attachment_root"):
            folder = getattr(self, name)
            good = folder is None or Path(folder).is_dir()
            require(good, name, str(folder), "a folder that is there")
            if folder is not None:
                object.__setattr__(self, name, Path(folder).absolute())
        EgressPolicy(self.egress_allow)
        self._check_unsubscribing()

    def _check_unsubscribing(self) -> None:
        url, key = self.unsubscribe_url, self.unsubscribe_key
        if url is not None:
            good = url.count("{token}") == 1 and urlsplit(url).scheme in ("http", "https")
            good = good and url.isascii() and url.isprintable() and " " not in url
            example = "one such as https://shop.example.com/unsubscribe?t={token}"
            require(good, "unsubscribe_url", url, example)
            require(key is not None, "unsubscribe_key", key, "a text, as unsubscribe_url needs it")
        if key is not None:
            require(len(key) >= MIN_KEY_CHARS, "unsubscribe_key", "(not shown)",
                    f"a text of {MIN_KEY_CHARS} characters or more")  # fmt: skip

    @property
    def chosen_provider(self) -> Provider:
        """What mails go through."""
        if self.provider is not None:
            return self.provider
        if self.sendgrid_key is not None:
            return "sendgrid"
        return "folder" if self.smtp_url is None else "smtp"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> EmailSettings:
        """Return the settings that the environment asks for; defaults for the rest.

        Reads `EMAIL_FROM`, which has to be set, `EMAIL_PROVIDER`, `SMTP_URL`,
        `EMAIL_SMTP_CONNECTIONS`, `EMAIL_SMTP_TIMEOUT`, `EMAIL_SMTP_ANSWER_TIMEOUT`,
        `SENDGRID_API_KEY`, `SENDGRID_URL`, `EMAIL_FOLDER`, `EMAIL_TEMPLATES`, `EMAIL_BRAND`,
        `EMAIL_ATTACHMENT_ROOT`, `EMAIL_MAX_ATTACHMENT_BYTES`, `EMAIL_MAX_ATTACHMENTS`,
        `TORIL_EGRESS_ALLOW`, `EMAIL_MAX_RECIPIENTS`, `EMAIL_MAX_PER_S`, `EMAIL_UNSUBSCRIBE_URL`,
        `EMAIL_UNSUBSCRIBE_KEY` and `EMAIL_DATABASE_URL`. Empty means unset.

        Parameters:
            environ: Where to read. Default: the process's own environment.

        Raises:
            InvalidSettingError: With the variable's name, its value and what would do.
        """
        environ = os.environ if environ is None else environ
        given: dict[str, Any] = {}
        for variable, (option, read) in _VARIABLES.items():
            text = environ.get(variable, "").strip()
            if not text:
                continue
            try:
                given[option] = read(text)
                if option not in _TOGETHER:  # alone, so that the error can say which it is
                    cls(**{"sender": "a@example.com", option: given[option]})
            except ValueError as error:
                raise InvalidSettingError(_problem(variable, text, option, error)) from None
        if "sender" not in given:
            raise InvalidSettingError(
                "EMAIL_FROM is not set: expected the sender of mails, such as"
                " Shop <shop@example.com>"
            )
        try:
            return cls(**given)
        except InvalidOptionError as error:
            # Each alone is good: one of them needs another.
            names = {option: variable for variable, (option, _) in _VARIABLES.items()}
            option, _, rest = str(error).partition("=")
            raise InvalidSettingError(f"{names.get(option, option)}={rest}") from None


def _problem(variable: str, text: str, option: str, error: ValueError) -> str:
    shown = "(not shown)" if option in _SECRET else repr(text)
    if isinstance(error, InvalidOptionError):
        return f"{variable}={shown}: {error}"
    return f"{variable}={shown}: expected a number, such as 10"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


_SECRET = frozenset({"database_url", "sendgrid_key", "smtp_url", "unsubscribe_key"})
_TOGETHER = frozenset({"provider", "unsubscribe_url"})
_VARIABLES: dict[str, tuple[str, Callable[[str], object]]] = {
    "EMAIL_FROM": ("sender", str),
    "EMAIL_PROVIDER": ("provider", str.lower),
    "SMTP_URL": ("smtp_url", str),
    "EMAIL_SMTP_CONNECTIONS": ("smtp_connections", int),
    "EMAIL_SMTP_TIMEOUT": ("smtp_timeout_s", float),
    "EMAIL_SMTP_ANSWER_TIMEOUT": ("smtp_answer_timeout_s", float),
    "SENDGRID_API_KEY": ("sendgrid_key", str),
    "SENDGRID_URL": ("sendgrid_url", str),
    "EMAIL_FOLDER": ("folder", Path),
    "EMAIL_TEMPLATES": ("templates", Path),
    "EMAIL_BRAND": ("brand", str),
    "EMAIL_ATTACHMENT_ROOT": ("attachment_root", Path),
    "EMAIL_MAX_ATTACHMENT_BYTES": ("max_attachment_bytes", int),
    "EMAIL_MAX_ATTACHMENTS": ("max_attachments", int),
    "TORIL_EGRESS_ALLOW": ("egress_allow", _words),
    "EMAIL_MAX_RECIPIENTS": ("max_recipients", int),
    "EMAIL_MAX_PER_S": ("max_per_s", float),
    "EMAIL_UNSUBSCRIBE_URL": ("unsubscribe_url", str),
    "EMAIL_UNSUBSCRIBE_KEY": ("unsubscribe_key", str),
    "EMAIL_DATABASE_URL": ("database_url", str),
}
