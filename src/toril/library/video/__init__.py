"""Stored videos become small ones that play everywhere, with a poster.

`processing.py` is the work, `settings.py` its figures. Importing this package loads no video
library.
"""

from toril.library.video.payloads import ConvertedVideo, ProcessedVideo
from toril.library.video.settings import VideoSettings

__all__ = ["ConvertedVideo", "ProcessedVideo", "VideoSettings"]
