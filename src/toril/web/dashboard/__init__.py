"""The dashboard: pages over the REST interface, for a browser.

A page asks the same functions that the REST routes are, with the same checks of who may see and do
what, so that nothing is possible in a browser alone.
"""

from toril.web.dashboard.application import Dashboard

__all__ = ["Dashboard"]
