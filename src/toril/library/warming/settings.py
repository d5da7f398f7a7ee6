"""What a warming may write, and how much."""

from __future__ import annotations

from dataclasses import dataclass

from toril.core.checks import require
from toril.core.errors import InvalidOptionError
from toril.library.warming.loaders import Loaders
from toril.services.cache.port import check_key
from toril.services.unusable import UnusableInputError, named


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmingSettings:
    """Settings of the cache warming.

    Raises:
        InvalidOptionError: A value makes no sense; the message names it and what would do.
    """

    prefix: str = "cache:"
    """With what every `cacheKey` has to begin: the cache's own prefix, so that the payload's key is
    the one in the server. Empty: keys are below the cache's prefix, whatever they are."""
    ttl_s: float = 3600.0
    """For how long a value is kept if the payload does not say, in seconds. Default: an hour."""
    max_ttl_s: float = 7 * 86_400.0
    """Longest time that a payload may ask for, in seconds. Default: a week."""
    max_bytes: int = 1024 * 1024
    """Largest value. Default: 1 MiB."""
    fetch_s: float = 30.0
    """Longest fetch of a URL, redirects included, in seconds."""

    def __post_init__(self) -> None:
        require(self.prefix.isprintable(), "prefix", self.prefix, "text such as 'cache:'")
        for name in ("ttl_s", "max_ttl_s", "fetch_s"):
            require(getattr(self, name) > 0, name, getattr(self, name), "seconds, above 0")
        good = self.ttl_s <= self.max_ttl_s
        require(good, "ttl_s", self.ttl_s, f"at most max_ttl_s, {self.max_ttl_s:g}")
        require(self.max_bytes >= 1, "max_bytes", self.max_bytes, "an integer from 1")

    def own_key(self, cache_key: str) -> str:
        """Return a payload's key as the cache takes it, below its prefix.

        Raises:
            UnusableInputError: It is outside of the prefix, or can be no key.
        """
        subject = named("cacheKey", cache_key)
        if not cache_key.startswith(self.prefix) or cache_key == self.prefix:
            reason = f"only keys that begin with {self.prefix!r} may be written"
            raise UnusableInputError(subject, reason)
        try:
            return check_key(cache_key.removeprefix(self.prefix))
        except InvalidOptionError as error:
            raise UnusableInputError(subject, str(error)) from None

    def check(
        self, cache_key: str, data_source: str, loaders: Loaders, *, ttl: float | None = None
    ) -> None:
        """Refuse, by its text alone, what would fail: for the door of an application.

        Raises:
            UnusableInputError: The key is outside of the prefix, the source will never do, or the
                time is too long.
        """
        self.own_key(cache_key)
        self.time_s(ttl)
        loaders.check(data_source)

    def time_s(self, ttl: float | None) -> float:
        """Return for how long a value is kept.

        Raises:
            UnusableInputError: The payload asks for too long.
        """
        if ttl is not None and ttl > self.max_ttl_s:
            reason = f"expected seconds, at most {self.max_ttl_s:g} (max_ttl_s)"
            raise UnusableInputError(named("ttl", f"{ttl:g}"), reason)
        return self.ttl_s if ttl is None else ttl
