"""Another commit of this repository and the working tree, installed alike, and gone afterwards.

Each package is built and installed into a virtual environment of its own, with the same versions of
what both stand on, so that a difference is one of Toril. Nothing in the working tree is touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.isolated import ROOT
from benchmarks.peers import version_of

BELOW = ("apsw", "hiredis", "msgspec", "uvloop")
"""What both stand on, in the versions that are installed here."""


class BaseError(Exception):
    """The commit cannot be measured; the message is one sentence that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A commit and the working tree, each with an interpreter that finds its Toril."""

    commit: str
    """The short hash."""
    base: str
    """The interpreter of the commit."""
    here: str
    """That of the working tree, as it was when this began."""


def commit_of(name: str) -> str:
    """Return the hash of a commit.

    Parameters:
        name: A hash, a branch, a tag, `HEAD~3`.

    Raises:
        BaseError: There is no such commit, or no repository.
    """
    try:
        _git("rev-parse", "--git-dir")
    except (OSError, subprocess.CalledProcessError):
        raise BaseError("comparing needs git, and a clone of the repository") from None
    try:
        return _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except subprocess.CalledProcessError:
        raise BaseError(f"BASE={name}: there is no such commit in this repository") from None


@contextmanager
def installed(commit: str) -> Iterator[Installed]:
    """Give a commit and the working tree, installed; take them away again whatever happens.

    Both in the same way: an environment with more in it takes longer to start, whatever it runs.

    Raises:
        BaseError: One cannot be installed, or is so old that there is no package in it.
    """
    folder = Path(tempfile.mkdtemp(prefix="toril-base-"))
    tree = folder / "tree"
    try:
        # Of the tree, not of whoever cloned it: no hook of theirs runs.
        _git("-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", str(tree), commit)
        yield Installed(
            commit=_git("rev-parse", "--short", commit),
            base=_install("BASE", tree, folder / "base"),
            here=_install("the working tree", ROOT, folder / "here"),
        )
    finally:
        with _undisturbed():
            _forget(tree)
            shutil.rmtree(folder, ignore_errors=True)


def _install(what: str, tree: Path, environment: Path) -> str:
    if not (tree / "pyproject.toml").is_file():
        raise BaseError(f"{what} is too old: there is no package in it")
    python = environment / "bin" / "python"
    # By the pip that is here: to put one into each environment takes longer than all else.
    _run("no virtual environment", sys.executable, "-m", "venv", "--without-pip", str(environment))
    pins = [f"{name}=={version}" for name in BELOW if (version := version_of(name)) is not None]
    pip = (sys.executable, "-m", "pip", "--python", str(python))
    quietly = ("install", "--quiet", "--disable-pip-version-check")
    _run(f"{what} cannot be installed", *pip, *quietly, str(tree), *pins)
    found = _toril_of(str(python))
    if not found.is_relative_to(environment.resolve()):
        raise BaseError(f"{found} comes before what is to be measured: unset PYTHONPATH")
    return str(python)


def _toril_of(python: str) -> Path:
    """Return the folder of the package that an interpreter's measurements import."""
    program = "import toril, pathlib; print(pathlib.Path(toril.__file__).resolve().parent)"
    # From where they run, with the same environment: what shadows the package there does so here.
    done = subprocess.run(
        [python, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip())


def _run(trouble: str, *command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["(it said nothing)"]
        said = next((line for line in reversed(lines) if "ERROR" in line), lines[-1])
        raise BaseError(f"{trouble}: {said.strip()}")


def _forget(tree: Path) -> None:
    subprocess.run(
        ["git", "-C", str(ROOT), "worktree", "remove", "--force", "--force", str(tree)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,  # a second Ctrl-C is not for it
    )


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Heed no signal meanwhile, so that nothing is left half taken away."""
    before = {
        number: signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *arguments],
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C"},
    )
    return done.stdout.strip()
