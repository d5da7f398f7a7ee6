"""What Django knows of the outbox once it is in INSTALLED_APPS."""

from __future__ import annotations

from django.apps import AppConfig


class TorilOutboxConfig(AppConfig):  # type: ignore[misc] # Django has no types
    """Brings the table `toril_outbox`."""

    name = "toril.contrib.django.outbox"
    label = "toril_outbox"
    verbose_name = "Toril's outbox"
    default_auto_field = "django.db.models.BigAutoField"
