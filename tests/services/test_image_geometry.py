from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toril.services.media.geometry import Cut, best_base, box_in_px, cut, needed_size_px
from toril.services.media.port import Fit, VariantSpec

SIDES = st.integers(1, 16_000)
SPECS = st.builds(
    VariantSpec,
    name=st.just("any"),
    width_px=st.integers(1, 4_000),
    height_px=st.integers(1, 4_000),
    fit=st.sampled_from(Fit),
)


def spec(width_px: int, height_px: int, fit: Fit) -> VariantSpec:
    return VariantSpec(name="any", width_px=width_px, height_px=height_px, fit=fit)


def test_inside_keeps_whole_image_and_its_shape() -> None:
    assert cut(spec(800, 800, Fit.INSIDE), 4000, 3000) == Cut(800, 600)


def test_inside_never_enlarges() -> None:
    assert cut(spec(800, 800, Fit.INSIDE), 40, 30) == Cut(40, 30)


def test_cover_fills_size_from_middle_of_image() -> None:
    assert cut(spec(100, 100, Fit.COVER), 400, 200) == Cut(100, 100, (0.25, 0.0, 0.75, 1.0))


def test_inside_keeps_one_pixel_of_very_thin_image() -> None:
    assert cut(spec(320, 320, Fit.INSIDE), 16_000, 1) == Cut(320, 1)


@given(spec=SPECS, width_px=SIDES, height_px=SIDES)
def test_cut_fits_its_spec_whatever_the_image(
    spec: VariantSpec, width_px: int, height_px: int
) -> None:
    made = cut(spec, width_px, height_px)

    left, top, right, bottom = made.region
    assert 0 <= left < right <= 1
    assert 0 <= top < bottom <= 1
    assert made.width_px <= spec.width_px
    assert made.height_px <= spec.height_px
    if spec.fit is Fit.COVER:
        assert (made.width_px, made.height_px) == (spec.width_px, spec.height_px)
    else:
        assert (made.width_px, made.height_px) <= (max(1, width_px), max(1, height_px))


@given(specs=st.lists(SPECS, min_size=1, max_size=5), width_px=SIDES, height_px=SIDES)
def test_base_always_holds_what_is_cut_from_it(
    specs: list[VariantSpec], width_px: int, height_px: int
) -> None:
    cuts = sorted((cut(each, width_px, height_px) for each in specs), key=lambda each: each.density)
    made = [Cut(width_px, height_px)]

    for each in reversed(cuts):
        base = made[best_base(each, made)]
        left, top, right, bottom = box_in_px(each.region, base)
        assert 0 <= left < right <= base.width_px
        assert 0 <= top < bottom <= base.height_px
        made.append(each)


@given(specs=st.lists(SPECS, min_size=1, max_size=5), width_px=SIDES, height_px=SIDES)
def test_decoding_size_is_at_most_the_image(
    specs: list[VariantSpec], width_px: int, height_px: int
) -> None:
    wide, high = needed_size_px([cut(s, width_px, height_px) for s in specs], width_px, height_px)

    assert 1 <= wide <= width_px
    assert 1 <= high <= height_px


def test_smaller_square_is_made_of_bigger_square() -> None:
    big = cut(spec(256, 256, Fit.COVER), 4000, 3000)
    small = cut(spec(64, 64, Fit.COVER), 4000, 3000)

    assert best_base(small, [Cut(4000, 3000), big]) == 1


def test_wide_variant_is_not_made_of_square_cut() -> None:
    square = cut(spec(256, 256, Fit.COVER), 4000, 3000)
    wide = cut(spec(320, 320, Fit.INSIDE), 4000, 3000)

    assert best_base(wide, [Cut(4000, 3000), square]) == 0
