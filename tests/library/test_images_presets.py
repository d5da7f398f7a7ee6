from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from toril.core.errors import InvalidOptionError
from toril.library.images.presets import Presets
from toril.services.media.port import Fit, VariantSpec
from toril.services.unusable import UnusableInputError

LINE = {"name": "small", "width": 10, "height": 20, "fit": "cover"}


def sizes(presets: Presets, entity_type: str) -> list[tuple[str, int, int, str]]:
    return [(s.name, s.width_px, s.height_px, s.fit) for s in presets.of(entity_type)]


def test_shipped_presets_are_those_promised() -> None:
    shipped = Presets.shipped()

    assert set(shipped.by_entity) == {"user_avatar", "company_photo", "default"}
    assert sizes(shipped, "user_avatar") == [
        ("small", 64, 64, "cover"),
        ("medium", 128, 128, "cover"),
        ("large", 256, 256, "cover"),
    ]
    assert sizes(shipped, "company_photo") == [
        ("thumb", 320, 240, "cover"),
        ("medium", 800, 800, "inside"),
        ("large", 1600, 1600, "inside"),
    ]
    assert sizes(shipped, "default") == [
        ("small", 320, 320, "inside"),
        ("large", 1024, 1024, "inside"),
    ]


def test_presets_are_read_from_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        '[product]\nvariants = [{ name = "s", width = 10, height = 20, fit = "inside" }]\n'
    )

    assert Presets.from_file(path).of("product") == (
        VariantSpec(name="s", width_px=10, height_px=20, fit=Fit.INSIDE),
    )


@pytest.mark.parametrize("raw", [{"a": [LINE]}, {"a": {"variants": [LINE]}}])
def test_presets_are_read_from_plain_data(raw: dict[str, object]) -> None:
    assert sizes(Presets.from_mapping(raw), "a") == [("small", 10, 20, "cover")]


def test_extension_decides_where_both_know_an_entity() -> None:
    more = Presets.from_mapping({"default": [LINE], "product": [LINE]})

    both = Presets.shipped().extended(more)

    assert set(both.by_entity) == {"user_avatar", "company_photo", "default", "product"}
    assert both.of("default") == more.of("default")


@pytest.mark.parametrize(
    ("entity_type", "message"),
    [
        ("user_avatr", "did you mean 'user_avatar'? known are company_photo, default, user_avatar"),
        ("zzz", "entityType 'zzz': not known; known are company_photo, default, user_avatar"),
        ("", "known are"),
        ("../default", "known are"),
    ],
)
def test_unknown_entity_type_is_refused_naming_nearest_and_known(
    entity_type: str, message: str
) -> None:
    with pytest.raises(UnusableInputError) as refused:
        Presets.shipped().of(entity_type)

    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "presets={}: expected at least one entity type"),
        ({"a": []}, "variants of 'a'=[]: expected at least one"),
        ({"a": [LINE, LINE]}, "each name once"),
        ({"../a": [LINE]}, "entity type='../a': expected 1 to 64 of a-z"),
        ({"a": [{**LINE, "name": "x/y"}]}, "name='x/y': expected 1 to 64 of a-z"),
        ({"a": [{**LINE, "name": "x\n"}]}, "expected 1 to 64 of a-z"),
        ({"a": [{**LINE, "width": "10"}]}, "Expected `int`, got `str` - at `$[0].width`"),
        ({"a": [{**LINE, "width": 0}]}, "width_px=0: expected 1 to 16383 pixels"),
        ({"a": [{**LINE, "fit": "crop"}]}, "Invalid enum value 'crop' - at `$[0].fit`"),
        ({"a": [{"name": "x"}]}, "missing required field `width`"),
        ({"a": [{**LINE, "colour": 1}]}, "unknown field `colour`"),
        ({"a": 3}, "Expected `array`, got `int`"),
        ({"a": {"variants": [LINE], "sizes": 1}}, "['sizes']: expected 'variants' and nothing"),
    ],
)
def test_senseless_presets_are_refused_naming_the_place(
    raw: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidOptionError) as refused:
        Presets.from_mapping(raw)

    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a = ", "is not TOML"), (b"\xff", "is not TOML"), (None, "No such file or directory")],
)
def test_unreadable_file_is_refused_by_name(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InvalidOptionError, match=message) as refused:
        Presets.from_file(path)

    assert "mine.toml" in str(refused.value)


def test_presets_survive_the_way_between_processes() -> None:
    assert pickle.loads(pickle.dumps(Presets.shipped())) == Presets.shipped()
