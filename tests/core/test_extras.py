"""How to install an extra: a command that works as Toril was installed here."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any

import pytest

from toril.core.errors import MissingExtraError
from toril.core.extras import how_to_install, installed_from, missing_extra


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that lets Toril look as if it was installed from somewhere."""
    folder = tmp_path / "toril-0.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.4\nName: toril\nVersion: 0.1.0\n")

    def install(noted: dict[str, Any] | str | None) -> None:
        if noted is not None:
            text = noted if isinstance(noted, str) else json.dumps(noted)
            (folder / "direct_url.json").write_text(text)
        found = PathDistribution(folder)
        monkeypatch.setattr("toril.core.extras.distribution", lambda name: found)

    return install


def test_from_an_index(installed: Any) -> None:
    installed(None)

    assert how_to_install("redis") == "pip install 'toril[redis]'"


@pytest.mark.parametrize(("editable", "before"), [(False, ""), (True, "-e ")])
def test_from_a_clone(installed: Any, tmp_path: Path, editable: bool, before: str) -> None:
    clone = tmp_path / "my clone"
    clone.mkdir()
    installed({"url": clone.as_uri(), "dir_info": {"editable": editable}})

    assert how_to_install("media") == f"pip install {before}'{clone}[media]'"


def test_from_a_repository(installed: Any) -> None:
    source = {"vcs": "git", "requested_revision": "v2", "commit_id": "abc"}
    installed({"url": "https://example.com/toril.git", "vcs_info": source})

    command = "pip install 'toril[redis] @ git+https://example.com/toril.git@v2'"
    assert how_to_install("redis") == command


def test_from_an_archive_elsewhere(installed: Any) -> None:
    installed({"url": "https://example.com/toril.whl", "archive_info": {}})

    assert how_to_install("redis") == "pip install 'toril[redis] @ https://example.com/toril.whl'"


@pytest.mark.parametrize(
    "noted",
    [
        {"url": "file:///nowhere/at/all", "dir_info": {}},
        "not JSON",
    ],
)
def test_from_something_that_is_gone(installed: Any, noted: dict[str, Any] | str) -> None:
    installed(noted)

    assert how_to_install("redis") == "pip install '.[redis]' in a clone of Toril"


def test_requirement_names_the_place_that_it_came_from(installed: Any, tmp_path: Path) -> None:
    """A new application asked an index, which has no release, for what came from a clone."""
    clone = tmp_path / "my clone"
    clone.mkdir()

    installed(None)
    from_index = installed_from()
    installed({"url": clone.as_uri(), "dir_info": {"editable": True}})
    from_clone = installed_from()
    installed({"url": "https://example.com/t.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}})
    from_git = installed_from()
    clone.rmdir()
    installed({"url": clone.as_uri(), "dir_info": {}})

    assert from_index is not None
    assert from_index.requirement(["redis", "web"]) == "toril[redis,web]"
    assert from_clone is not None
    assert from_clone.path == clone
    assert from_clone.requirement(["web"]) == f"toril[web] @ {tmp_path.as_uri()}/my%20clone"
    assert from_git is not None
    assert from_git.requirement(["web"]) == "toril[web] @ git+https://example.com/t.git@HEAD"
    assert from_git.needs_git
    assert installed_from() is None


def test_error_names_feature_and_command() -> None:
    error = missing_extra("--reload needs watchfiles", "reload")

    assert isinstance(error, MissingExtraError)
    assert str(error) == f"--reload needs watchfiles: {how_to_install('reload')}"


def test_nobody_pays_who_lacks_nothing() -> None:
    """Reading what is installed imports a parser of e-mails, among others."""
    source = "import sys, toril; toril.App('sqlite://:memory:').backend(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "toril.core.extras" not in done.stdout.split()
