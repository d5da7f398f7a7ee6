"""How to install an extra here: from a clone, a repository or a package index.

Read from what the installer noted (PEP 610) at the moment when somebody lacks an extra.
"""

from __future__ import annotations

import shlex
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from toril.core.errors import MissingExtraError


def missing_extra(what: str, extra: str) -> MissingExtraError:
    """Return the error of a feature whose extra is not installed.

    Parameters:
        what: The feature and what it lacks, such as `redis:// needs hiredis`.
        extra: The extra.
    """
    return MissingExtraError(f"{what}: {how_to_install(extra)}")


def how_to_install(extra: str) -> str:
    """Return a command that installs an extra, as Toril itself was installed."""
    try:
        return _command(distribution("toril"), extra)
    except (PackageNotFoundError, msgspec.DecodeError):
        return _from_clone(extra)


def _command(toril: Distribution, extra: str) -> str:
    noted = toril.read_text("direct_url.json")
    if noted is None:
        return f"pip install 'toril[{extra}]'"
    source: dict[str, Any] = msgspec.json.decode(noted, type=dict[str, Any])
    url = str(source.get("url", ""))
    if "vcs_info" in source:
        version = source["vcs_info"]
        address = f"{version['vcs']}+{url}@{version.get('requested_revision', 'HEAD')}"
        return f"pip install {shlex.quote(f'toril[{extra}] @ {address}')}"
    path = unquote(urlsplit(url).path)
    if not url.startswith("file:") or not Path(path).exists():
        return _from_clone(extra)
    editable = "-e " if source.get("dir_info", {}).get("editable") else ""
    return f"pip install {editable}{shlex.quote(f'{path}[{extra}]')}"


def _from_clone(extra: str) -> str:
    return f"pip install '.[{extra}]' in a clone of Toril"
