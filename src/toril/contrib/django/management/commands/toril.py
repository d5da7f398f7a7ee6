"""`manage.py toril ...`: the command line of Toril, on the store of this project."""

from __future__ import annotations

import os
import sys
from argparse import REMAINDER, ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from toril.cli.main import run
from toril.contrib.django.conf import project_settings, target
from toril.core.errors import InvalidSettingError


class Command(BaseCommand):  # type: ignore[misc] # Django has no types
    """Runs a command of `toril` with the store of the settings."""

    help = "A command of toril on the store of this project: manage.py toril queues"
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django reads it so

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take whatever `toril` takes."""
        parser.add_argument("words", nargs=REMAINDER, metavar="COMMAND ...", help="as of toril")

    def handle(self, *args: Any, words: list[str], **given: Any) -> None:
        """Run it.

        Raises:
            CommandError: The settings make no sense.
            SystemExit: With its exit code, unless it is 0.
        """
        try:
            os.environ["TORIL_URL"] = project_settings().url
        except InvalidSettingError as error:
            raise CommandError(str(error)) from None
        if words[:1] == ["relay"] and "--app" not in words:
            words = [*words, "--app", target()]  # who knows the databases of the project
        code = run(words)
        if code:
            sys.exit(code)
