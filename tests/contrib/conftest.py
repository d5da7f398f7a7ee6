"""The Django project that tests work in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contrib.django_project import Project


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with its tables, made once."""
    made = Project(tmp_path_factory.mktemp("template") / "shop")
    made.folder.mkdir()
    made.write()
    return made


@pytest.fixture
def project(template: Project, tmp_path: Path) -> Iterator[Project]:
    """A project of this test's own."""
    made = template.copy(tmp_path / "shop")
    yield made
    made.end_all()
