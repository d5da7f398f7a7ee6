"""Sets Django up where no `manage.py` has: in `toril worker`, and in child processes."""

from __future__ import annotations

import logging


def set_up() -> None:
    """Set Django up, unless it is.

    Its configuration of logs silences every logger that is there already, unless the project's
    LOGGING says otherwise: ours go on.
    """
    import django
    from django.apps import apps

    if apps.ready:
        return
    django.setup()
    for name in logging.root.manager.loggerDict:
        if name == "toril" or name.startswith("toril."):
            logging.getLogger(name).disabled = False
