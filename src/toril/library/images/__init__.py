"""Uploaded images become clean, sized WebP variants.

`pipeline.py` is the work, step by step; `service.py` does it without a queue; `presets.py` says
which sizes; `settings.py` says where. Importing this package loads no image library.
"""

from toril.library.images.payloads import MediaProcessingJobData, MediaResult, Variant
from toril.library.images.presets import Presets
from toril.library.images.settings import MediaSettings

__all__ = ["MediaProcessingJobData", "MediaResult", "MediaSettings", "Presets", "Variant"]
