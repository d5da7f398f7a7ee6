"""Computes sizes of videos. Arithmetic only."""

from __future__ import annotations

from fractions import Fraction

from toril.services.media.video_port import VideoPlan


def output_size_px(
    width_px: int, height_px: int, *, aspect: Fraction, quarter_turns: int, plan: VideoPlan
) -> tuple[int, int]:
    """Return the size of the finished picture: upright, square pixels, even sides, not enlarged.

    Parameters:
        width_px: As stored.
        height_px: As stored.
        aspect: How wide a stored pixel is for its height. 1 is square.
        quarter_turns: How often the picture is turned by 90°.
        plan: The box that it has to fit into.
    """
    wide, high = width_px * aspect, Fraction(height_px)
    if quarter_turns % 2:
        wide, high = high, wide
    box_wide, box_high = plan.max_width_px, plan.max_height_px
    if plan.turn_box and high > wide:
        box_wide, box_high = box_high, box_wide
    scale = min(box_wide / wide, box_high / high, Fraction(1))
    return _even(wide * scale, box_wide), _even(high * scale, box_high)


def _even(side: Fraction, at_most: int) -> int:
    # Half the samples of a colour are stored, so that both sides have to be even. A side that is
    # odd loses a pixel, in place of gaining one that was never there.
    whole = min(round(side), at_most)
    return max(2, whole - whole % 2)
