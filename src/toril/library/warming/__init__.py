"""Fills a cache before anybody asks: `app.include(warming)` of `tasks.py`.

`loaders.py` says where values come from, `settings.py` what may be written.
"""

from toril.library.warming.loaders import Loaders
from toril.library.warming.payloads import WarmingResult
from toril.library.warming.settings import WarmingSettings

__all__ = ["Loaders", "WarmingResult", "WarmingSettings"]
