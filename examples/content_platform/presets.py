"""Sizes of images by entity type, beside the shipped ones. `other`: of types that are not known."""

from toril.library.images import Presets

LISTING = [
    {"name": "thumb", "width": 150, "height": 150, "fit": "cover"},
    {"name": "medium", "width": 600, "height": 400, "fit": "cover"},
    {"name": "large", "width": 1200, "height": 800, "fit": "inside"},
    {"name": "original", "width": 1920, "height": 1280, "fit": "inside"},
]
PRESETS = Presets.shipped().extended(
    Presets.from_mapping({"listing_image": LISTING, "other": LISTING})
)
