"""Uploaded images become clean, sized WebP variants; stored ones become smaller in place.

`pipeline.py` is the work on uploads, step by step; `service.py` does it without a queue;
`presets.py` says which sizes; `settings.py` says where. `stored.py` is the work on images that lie
in a storage of objects; `stored_settings.py` has its figures. `watermarking.py` puts
marks on media. Importing this package loads no image library.
"""

from toril.library.images.payloads import MediaProcessingJobData, MediaResult, Variant
from toril.library.images.presets import Presets
from toril.library.images.settings import MediaSettings
from toril.library.images.stored_settings import ImageSize, StoredImageSettings
from toril.library.images.watermark_payloads import WatermarkJobData, WatermarkResult
from toril.library.images.watermark_settings import WatermarkSettings

__all__ = [
    "ImageSize",
    "MediaProcessingJobData",
    "MediaResult",
    "MediaSettings",
    "Presets",
    "StoredImageSettings",
    "Variant",
    "WatermarkJobData",
    "WatermarkResult",
    "WatermarkSettings",
]
