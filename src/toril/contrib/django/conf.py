"""Reads `TORIL` of a project's settings.

Its keys are the fields of `Settings` in capitals, and `APP`. It stands in place of `toril.toml`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from toril.core.checks import unknown
from toril.core.errors import InvalidSettingError
from toril.settings import Settings

NAMES = {field.name.upper(): field.name for field in fields(Settings)}
APP = "APP"
"""Where the project's `DjangoApp` is: `module:name`."""


def project_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this project: the environment, then `TORIL`, then our defaults.

    The time zone of schedules is the project's own, if nothing else is said.

    Parameters:
        environment: Default: this process'.

    Raises:
        InvalidSettingError: One is unknown or makes no sense, or Django has no settings.
    """
    given = {
        NAMES[name]: (f"TORIL[{name!r}]", value)
        for name, value in _project_says().items()
        if name != APP
    }
    from django.conf import settings

    given.setdefault("timezone", ("TIME_ZONE", settings.TIME_ZONE))
    return Settings.load(environment, in_place_of_file=given)


def target() -> str:
    """Return where the project's app is, `module:name`.

    Raises:
        InvalidSettingError: The project does not say.
    """
    found = _project_says().get(APP)
    if not isinstance(found, str) or not found:
        raise InvalidSettingError(
            f"TORIL[{APP!r}]={found!r}: expected where your app is, such as 'project.jobs:app'"
        )
    return found


def says_url() -> bool:
    """Whether the environment or the project says where jobs live."""
    return bool(os.environ.get("TORIL_URL")) or "URL" in _project_says()


def _project_says() -> Mapping[str, Any]:
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    try:
        found = getattr(settings, "TORIL", {})
    except ImproperlyConfigured:
        raise InvalidSettingError(
            "Django has no settings here: set DJANGO_SETTINGS_MODULE, such as project.settings, or"
            " use manage.py"
        ) from None
    if not isinstance(found, Mapping):
        raise InvalidSettingError(f"TORIL={found!r}: expected a dictionary, such as {{'URL': ...}}")
    for name in found:
        if name not in NAMES and name != APP:
            raise InvalidSettingError(f"TORIL: {unknown('setting', str(name), [APP, *NAMES])}")
    return found
