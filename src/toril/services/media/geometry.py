"""Computes the region of an image that a variant shows. Arithmetic only.

A region is given in shares of the upright image (0 to 1), so that it is the same on the original,
on a JPEG decoded at an eighth, and on a variant that was made before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from toril.services.media.port import Fit, VariantSpec

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)

# Rounding to whole pixels moves a density by less than one pixel in its size; a base may be that
# much coarser than asked for without anybody seeing it.
_SLACK = 1e-3


@dataclass(frozen=True, slots=True)
class Cut:
    """A picture of `region`, in so many pixels."""

    width_px: int
    height_px: int
    region: Box = WHOLE

    @property
    def density(self) -> tuple[float, float]:
        """How many pixels wide and high the whole image would be at this resolution."""
        left, top, right, bottom = self.region
        return self.width_px / (right - left), self.height_px / (bottom - top)

    @property
    def pixels(self) -> int:
        """Width by height."""
        return self.width_px * self.height_px


def cut(spec: VariantSpec, width_px: int, height_px: int) -> Cut:
    """Return the cut that a variant is of an upright image of this size."""
    if spec.fit is Fit.INSIDE:
        scale = min(spec.width_px / width_px, spec.height_px / height_px, 1.0)
        return Cut(max(1, round(width_px * scale)), max(1, round(height_px * scale)))
    scale = max(spec.width_px / width_px, spec.height_px / height_px)
    wide = min(1.0, spec.width_px / (width_px * scale))
    high = min(1.0, spec.height_px / (height_px * scale))
    left, top = (1 - wide) / 2, (1 - high) / 2
    return Cut(spec.width_px, spec.height_px, (left, top, left + wide, top + high))


def needed_size_px(cuts: Iterable[Cut], width_px: int, height_px: int) -> tuple[int, int]:
    """Return how big the whole image has to be decoded for the finest cut, at most as it is."""
    densities = [each.density for each in cuts]
    wide = min(width_px, max(density[0] for density in densities))
    high = min(height_px, max(density[1] for density in densities))
    return max(1, int(wide)), max(1, int(high))


def best_base(wanted: Cut, made: Sequence[Cut]) -> int:
    """Return the index of the smallest picture that `wanted` can be made of.

    Parameters:
        wanted: The cut to make.
        made: What is there; the first is the whole decoded image and always does.
    """
    usable = [at for at, base in enumerate(made) if at == 0 or _holds(base, wanted)]
    return min(usable, key=lambda at: made[at].pixels)


def box_in_px(region: Box, base: Cut) -> Box:
    """Return where `region` lies on the picture `base`, in its pixels."""
    left, top, right, bottom = base.region
    across = base.width_px / (right - left)
    down = base.height_px / (bottom - top)
    box_left = min(max(0.0, (region[0] - left) * across), base.width_px - 1e-6)
    box_top = min(max(0.0, (region[1] - top) * down), base.height_px - 1e-6)
    return (
        box_left,
        box_top,
        min(float(base.width_px), (region[2] - left) * across),
        min(float(base.height_px), (region[3] - top) * down),
    )


def _holds(base: Cut, wanted: Cut) -> bool:
    inner, outer = wanted.region, base.region
    within = inner[0] >= outer[0] - 1e-9 and inner[1] >= outer[1] - 1e-9
    within = within and inner[2] <= outer[2] + 1e-9 and inner[3] <= outer[3] + 1e-9
    fine = all(
        have >= want * (1 - _SLACK) for have, want in zip(base.density, wanted.density, strict=True)
    )
    return within and fine
