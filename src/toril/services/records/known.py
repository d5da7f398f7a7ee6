"""The families of tables that Toril brings. A new one is a line here."""

from __future__ import annotations

import importlib

from toril.core.checks import unknown
from toril.core.errors import InvalidOptionError
from toril.services.records.families import TableFamily

KNOWN = {
    "analytics": "toril.services.analytics.tables:ANALYTICS",
    "mail": "toril.services.mail.tables:MAIL",
    "media": "toril.services.media.tables:MEDIA",
    "notices": "toril.services.notices.tables:NOTICES",
    "push": "toril.services.push.tables:PUSH",
    "referrals": "toril.services.referrals.tables:REFERRALS",
    "rules": "toril.services.rules.tables:RULES",
    "totals": "toril.services.totals.tables:TOTALS",
}
"""By name: where the family is, as `module:attribute`."""


def family_of(name: str) -> TableFamily:
    """Return a family by its name, or one of an app's by `module:attribute`.

    Raises:
        InvalidOptionError: There is none.
    """
    place = name if ":" in name else KNOWN.get(name)
    if place is None:
        raise InvalidOptionError(unknown("family of tables", name, KNOWN))
    module, _, attribute = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidOptionError(f"family {name!r} cannot be imported: {error}") from error
    if not isinstance(found, TableFamily):
        raise InvalidOptionError(f"family {name!r}: expected a TableFamily, not {found!r:.80}")
    return found
