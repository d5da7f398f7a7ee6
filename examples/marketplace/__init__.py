"""A marketplace's work outside the request: eight queues, dead letters, reports. See README.md."""

import sys

from toril import TorilError

try:
    from examples.marketplace.app import app as app
except TorilError as error:  # a setting: its message says what to do
    sys.exit(f"{type(error).__name__}: {error}")
