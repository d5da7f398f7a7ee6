"""Beside whom Toril is measured: what they are called, and which of them this machine has."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import sqlite3
import subprocess
from collections.abc import Callable, Iterable

from tests.support.node import node_binary, node_modules
from tests.support.python_port import python_with_bullmq

from benchmarks.order import Peer
from benchmarks.python_peers import PYTHON_PEERS

TITLES: dict[Peer, str] = {
    "toril": "Toril",
    "huey": "Huey",
    "bullmq_node": "BullMQ on Node",
    "bullmq_python": "BullMQ for Python",
    **{peer: it.title for peer, it in PYTHON_PEERS.items()},
}


def find_peers(wanted: Iterable[Peer]) -> dict[Peer, str]:
    """Return those that are here, with their versions in words; install what runs beside us."""
    found = {peer: _FINDERS[peer]() for peer in wanted}
    return {peer: version for peer, version in found.items() if version is not None}


@functools.cache
def node_command() -> tuple[str, str]:
    """Return Node, and the folder of its packages: those that the tests talk to.

    Raises:
        AssertionError: They are not here and cannot be installed.
    """
    return node_binary(), str(node_modules())


@functools.cache
def python_of_port() -> str:
    """Return the interpreter of BullMQ for Python's own environment: that which the tests use.

    Raises:
        AssertionError: It is not here and cannot be made.
    """
    return str(python_with_bullmq())


def version_of(package: str) -> str | None:
    """Return the version of a Python package. None: it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _huey() -> str | None:
    version = version_of("huey")
    return version and f"{version}, sqlite3 with SQLite {sqlite3.sqlite_version}"


def _bullmq_node() -> str | None:
    try:
        node, packages = node_command()
    except AssertionError:  # the tests' way to say that it could not be installed
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    versions = {}
    for package in ("bullmq", "ioredis"):
        with open(f"{packages}/{package}/package.json", encoding="utf-8") as file:
            versions[package] = json.load(file)["version"]
    return f"{versions['bullmq']}, ioredis {versions['ioredis']}, Node {said.strip().lstrip('v')}"


def _bullmq_python() -> str | None:
    try:
        python = python_of_port()
    except AssertionError:  # as above
        return None
    packages = ("bullmq", "redis", "hiredis")
    program = f"from importlib.metadata import version\nprint(*map(version, {packages!r}))"
    said = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    bullmq, redis_py, hiredis = said.stdout.split()
    return f"{bullmq}, redis-py {redis_py} with hiredis {hiredis}"


_FINDERS: dict[Peer, Callable[[], str | None]] = {
    "huey": _huey,
    "bullmq_node": _bullmq_node,
    "bullmq_python": _bullmq_python,
}
