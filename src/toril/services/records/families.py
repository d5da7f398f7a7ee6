"""A family of tables: those that one part of Toril or of an app needs, and their versions.

A version is a module of the family's package of migrations, `v0001_title.py`, written for Alembic.
Families know nothing of each other, and each keeps its version in a table of its own.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import sqlalchemy as sa

from toril.core.checks import require
from toril.core.errors import InvalidOptionError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_MODULE = re.compile(r"v(\d{4})_\w+\.py")


@dataclass(frozen=True)
class TableFamily:
    """Tables and the package of their migrations.

    Parameters:
        name: Such as `media`.
        metadata: The tables as the newest version has them.
        package: Where the migrations are, such as `shop.migrations`: modules `v0001_title.py` with
            Alembic's `revision` (`"0001"`), `down_revision` and `upgrade()`. Migrations only add,
            so that processes of the version before go on meanwhile.
    """

    name: str
    metadata: sa.MetaData = field(repr=False, compare=False)
    package: str

    def __post_init__(self) -> None:
        good = _NAME.fullmatch(self.name) is not None
        require(good, "family", self.name, "a name of a to z, digits and _")

    @property
    def version_table(self) -> str:
        """The table that holds the version."""
        return f"toril_{self.name}_version"

    @cached_property
    def folder(self) -> Path:
        """Where the migrations are."""
        found = importlib.import_module(self.package).__file__
        if found is None:
            raise InvalidOptionError(f"{self.package}: expected a package with an __init__.py")
        return Path(found).parent

    @cached_property
    def head(self) -> str:
        """The newest version."""
        found = [_MODULE.fullmatch(path.name) for path in self.folder.iterdir()]
        versions = sorted(one[1] for one in found if one is not None)
        expected = "a package with a module such as v0001_begin.py"
        require(bool(versions), "package", self.package, expected)
        return versions[-1]
