"""What Django knows of us once `toril.contrib.django` is in INSTALLED_APPS."""

from __future__ import annotations

from django.apps import AppConfig


class TorilConfig(AppConfig):  # type: ignore[misc] # Django has no types
    """Brings `manage.py toril_worker` and `manage.py toril`."""

    name = "toril.contrib.django"
    label = "toril"
    verbose_name = "Toril"
