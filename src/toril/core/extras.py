"""How to install an extra here: from a clone, a repository or a package index.

Read from what the installer noted (PEP 610) at the moment when somebody lacks an extra, or starts
an application that needs Toril.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from toril.core.errors import MissingExtraError


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where this Toril was installed from."""

    url: str | None
    """As a direct reference (PEP 440) has it. None: a package index has it."""
    path: Path | None = None
    """A folder or an archive on this machine."""
    editable: bool = False
    """Whether the folder's own files are what is imported."""
    needs_git: bool = False
    """Whether git fetches it."""

    def requirement(self, extras: Sequence[str]) -> str:
        """Return a requirement (PEP 508) that installs it from there."""
        name = f"toril[{','.join(extras)}]"
        return name if self.url is None else f"{name} @ {self.url}"


def missing_extra(what: str, extra: str) -> MissingExtraError:
    """Return the error of a feature whose extra is not installed.

    Parameters:
        what: The feature and what it lacks, such as `redis:// needs hiredis`.
        extra: The extra.
    """
    return MissingExtraError(f"{what}: {how_to_install(extra)}")


def how_to_install(extra: str) -> str:
    """Return a command that installs an extra, as Toril itself was installed."""
    source = installed_from()
    if source is None:
        return f"pip install '.[{extra}]' in a clone of Toril"
    if source.path is not None:
        editable = "-e " if source.editable else ""
        return f"pip install {editable}{shlex.quote(f'{source.path}[{extra}]')}"
    return f"pip install {shlex.quote(source.requirement([extra]))}"


def installed_from() -> Source | None:
    """Return where Toril was installed from. None: nobody noted it, or it is not there any more."""
    try:
        return _noted(distribution("toril"))
    except (PackageNotFoundError, msgspec.DecodeError):
        return None


def _noted(toril: Distribution) -> Source | None:
    noted = toril.read_text("direct_url.json")
    if noted is None:
        return Source(url=None)
    source: dict[str, Any] = msgspec.json.decode(noted, type=dict[str, Any])
    url = str(source.get("url", ""))
    if "vcs_info" in source:
        version = source["vcs_info"]
        address = f"{version['vcs']}+{url}@{version.get('requested_revision', 'HEAD')}"
        return Source(url=address, needs_git=version["vcs"] == "git")
    if url.startswith("https:"):
        return Source(url=url)
    path = Path(unquote(urlsplit(url).path))
    if not url.startswith("file:") or not path.exists():
        return None
    editable = bool(source.get("dir_info", {}).get("editable"))
    return Source(url=path.as_uri(), path=path, editable=editable)
