"""`manage.py toril_worker`: `toril worker` for the app of this project, with all of its options."""

from __future__ import annotations

import os
import sys
import sysconfig
from argparse import ArgumentParser
from typing import Any

import click
from django.core.management.base import BaseCommand, CommandError

from toril.cli.main import run
from toril.cli.worker import worker
from toril.contrib.django.conf import project_settings, target
from toril.core.errors import InvalidSettingError

_OURS = "toril_"
"""Before the names of our options, so that none is taken for one of Django's."""


class Command(BaseCommand):  # type: ignore[misc] # Django has no types
    """Runs the jobs of this project."""

    help = "Run the jobs of this project: `toril worker` for TORIL['APP']."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django reads it so

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take every option of `toril worker`."""
        for option in _options():
            names = [*option.opts, *option.secondary_opts]
            help_ = (option.help or "").replace("%", "%%")
            dest = f"{_OURS}{option.name}"
            if option.is_flag:
                parser.add_argument(*names, dest=dest, action="store_true", help=help_)
            else:
                metavar = option.metavar or (option.name or "").upper()
                parser.add_argument(*names, dest=dest, metavar=metavar, help=help_)

    def handle(self, *args: Any, **given: Any) -> None:
        """Run the worker until it is told to stop.

        Raises:
            CommandError: The settings make no sense.
            SystemExit: With the exit code of `toril worker`, unless it is 0.
        """
        try:
            words = ["worker", target()]
            log_level = project_settings().log_level
        except InvalidSettingError as error:
            raise CommandError(str(error)) from None
        for option in _options():
            value = given.get(f"{_OURS}{option.name}")
            if option.name == "log_level" and value is None:
                value = log_level
            if value is True:
                words.append(option.opts[-1])
            elif value not in (None, False):
                words.append(f"{option.opts[-1]}={value}")
        _pass_path_on()
        code = run(words)
        if code:
            sys.exit(code)


def _options() -> list[click.Option]:
    return [
        option for option in worker.params if isinstance(option, click.Option) and not option.hidden
    ]


def _pass_path_on() -> None:
    """Let worker processes find the project where this one has found it.

    `manage.py` has put its own folder first; a child looks in the working directory.
    """
    library = sysconfig.get_path("stdlib")
    before = [os.path.abspath(path) for path in sys.path[: _index(sys.path, library)] if path]
    kept = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    folders = dict.fromkeys(
        [*(path for path in before if os.path.isdir(path)), *filter(None, kept)]
    )
    os.environ["PYTHONPATH"] = os.pathsep.join(folders)


def _index(paths: list[str], wanted: str) -> int:
    return paths.index(wanted) if wanted in paths else 1
