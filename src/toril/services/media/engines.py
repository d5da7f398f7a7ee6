"""Opens image engines by their kind, each loaded when it is first asked for."""

from __future__ import annotations

from toril.services.media.port import EngineKind, ImageEngine, ImageLimits


def open_engine(
    kind: EngineKind = EngineKind.PILLOW, limits: ImageLimits | None = None, *, quality: int = 85
) -> ImageEngine:
    """Return an engine.

    Parameters:
        kind: Which. Default: Pillow.
        limits: What it refuses before decoding. Default: as `ImageLimits` has it.
        quality: Of WebP and JPEG where a variant says none, 1 to 100.

    Raises:
        InvalidOptionError: `quality` is out of range.
        MissingExtraError: Its library is not installed.
    """
    from toril.services.media.pillow import PillowEngine  # here: who only asks may have neither

    pillow = PillowEngine(limits, quality=quality)
    if kind is EngineKind.VIPS:
        from toril.services.media.vips import VipsEngine  # here: the other needs no libvips

        return VipsEngine(pillow)
    return pillow
