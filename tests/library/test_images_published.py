"""Upload jobs of published producers: other names, and entity types that are not known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from toril.library.images import MediaResult, MediaSettings, Presets, Variant
from toril.library.images.published import PublishedUploads, with_urls

LISTING = [{"name": "thumb", "width": 150, "height": 150, "fit": "cover"}]


@pytest.mark.parametrize(
    ("given", "expected"), [("user_avatar", "user_avatar"), ("planet", "other"), ("other", "other")]
)
def test_fields_are_read_and_unknown_types_are_other(
    settings: MediaSettings, given: str, expected: str
) -> None:
    presets = Presets.shipped().extended(Presets.from_mapping({"other": LISTING}))
    reader = PublishedUploads(replace(settings, presets=presets))
    read = reader.read("a.jpg", "A.jpg", given, "image/jpeg", "e1", "u1", {"alt": "A"})
    assert read["entity_type"] == expected
    assert (read["temp_path"], read["original_filename"]) == ("a.jpg", "A.jpg")
    assert (read["user_id"], read["metadata"]) == ("u1", {"alt": "A", "entityId": "e1"})


def test_without_other_an_unknown_type_stays(settings: MediaSettings) -> None:
    read = PublishedUploads(settings).read("a.jpg", "A.jpg", "planet")
    assert (read["entity_type"], read["metadata"]) == ("planet", None)


def test_result_has_the_keys_of_both() -> None:
    variant = Variant(name="thumb", path="other/m-1/thumb.webp", width=1, height=2, bytes=3)
    made = with_urls(MediaResult(media_id="m-1", variants=[variant], original_bytes=9))
    assert list(made)[:3] == ["success", "mediaId", "urls"]
    assert made["urls"] == {"thumb": "/uploads/other/m-1/thumb.webp"}
    assert made["originalBytes"] == 9
