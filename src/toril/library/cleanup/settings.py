"""Where old files and sessions are removed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from toril.core.checks import require
from toril.core.errors import InvalidSettingError
from toril.services.disk.inside import inside_parts
from toril.services.unusable import UnusableInputError, named


class SessionStore(Protocol):
    """Where an application keeps the sessions of its users: the port of `expired_sessions`."""

    async def remove_expired(self, *, before_s: float, dry_run: bool) -> int:
        """Remove sessions that nobody used since a moment; return how many.

        Must be harmless when called again.

        Parameters:
            before_s: The moment, in seconds since 1970.
            dry_run: Only count.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupSettings:
    """The roots outside of which nothing is removed. Relative paths become absolute.

    Raises:
        InvalidOptionError: A root is the file system's own root, or the one lies in the other.
    """

    temp_root: Path | None = None
    """Where `temp_files` are. None: such jobs are refused."""
    log_root: Path | None = None
    """Where `old_logs` are. None: such jobs are refused."""
    min_age_s: float = 0.0
    """Nothing younger is removed, whatever a payload says, in seconds."""

    sessions: SessionStore | None = None
    """Where `expired_sessions` are. None: such jobs are refused."""

    def __post_init__(self) -> None:
        require(self.min_age_s >= 0, "min_age_s", self.min_age_s, "seconds, from 0")
        for name in ("temp_root", "log_root"):
            root: Path | None = getattr(self, name)
            if root is not None:
                root = Path(os.path.abspath(root))
                apart = Path(os.path.realpath(root)) != Path("/")
                require(apart, name, str(root), "a folder below the root of the file system")
                object.__setattr__(self, name, root)
        if self.temp_root is not None and self.log_root is not None:
            temporary, logs = os.path.realpath(self.temp_root), os.path.realpath(self.log_root)
            # In a temporary root the logs would be removed although they are in use.
            apart = not Path(logs).is_relative_to(temporary)
            require(apart, "log_root", str(self.log_root), "a folder outside of temp_root")

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        sessions: SessionStore | None = None,
    ) -> CleanupSettings:
        """Return the settings that the environment asks for: `TEMP_ROOT`, `LOG_ROOT`.

        Parameters:
            environ: Where to read. Default: the process's own environment.
            sessions: Where sessions are, which no variable can say.

        Raises:
            InvalidSettingError: With the variable's name, its value and what would do.
        """
        environ = os.environ if environ is None else environ
        given: dict[str, Any] = {}
        for variable, option in (("TEMP_ROOT", "temp_root"), ("LOG_ROOT", "log_root")):
            if text := environ.get(variable, "").strip():
                given[option] = Path(text)
        try:
            return cls(**given, sessions=sessions)
        except ValueError as error:
            names = ", ".join(f"{name.upper()}={str(path)!r}" for name, path in given.items())
            raise InvalidSettingError(f"{names}: {error}") from None

    def root_of(self, target: str) -> Path:
        """Return the root for a kind of files.

        Raises:
            UnusableInputError: There is none.
        """
        option = {"temp_files": "temp_root", "old_logs": "log_root"}[target]
        root: Path | None = getattr(self, option)
        if root is None:
            reason = f"no folder is set for it: CleanupSettings({option}=…), or {option.upper()}"
            raise UnusableInputError(named("targetType", target), reason)
        return root

    def check(self, target: str, path: str | None = None, pattern: str | None = None) -> None:
        """Refuse, by its text alone, what would fail: for the door of an application.

        Raises:
            UnusableInputError: The target has no root or store, the path leads out of its root, or
                the pattern is none.
        """
        if target != "expired_sessions":
            self.parts_of(target, path)
            if pattern is not None and ("/" in pattern or "\0" in pattern or not pattern):
                reason = "expected what a file's name has to match, such as '*.tmp', without '/'"
                raise UnusableInputError(named("pattern", pattern), reason)
            return
        for name, value in (("path", path), ("pattern", pattern)):
            if value is not None:
                reason = "only files have one: leave it out for expired_sessions"
                raise UnusableInputError(named(name, value), reason)
        self.session_store()

    def parts_of(self, target: str, path: str | None) -> tuple[str, ...]:
        """Return the parts of a folder's path below the root of its kind.

        Raises:
            UnusableInputError: It leads out of it, or there is no root.
        """
        root = self.root_of(target)
        if path in (None, "", ".", str(root)):
            return ()
        return inside_parts(root, str(path), named("path", str(path)))

    def session_store(self) -> SessionStore:
        """Return the store of `expired_sessions`.

        Raises:
            UnusableInputError: There is none.
        """
        if self.sessions is None:
            reason = "no session store is set: CleanupSettings(sessions=…)"
            raise UnusableInputError(named("targetType", "expired_sessions"), reason)
        return self.sessions
