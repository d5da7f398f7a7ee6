from __future__ import annotations

import msgspec
import pytest

from toril.core.codec import convert, decode, encode_text
from toril.library.images.payloads import MediaProcessingJobData, MediaResult, Variant


def test_payload_of_existing_producers_is_read() -> None:
    text = """{"mediaId": "m-9", "entityType": "user_avatar", "tempPath": "/srv/tmp/a",
               "originalFilename": "a.jpg", "userId": "u-1", "metadata": {"album": [1, null]}}"""

    data = convert(decode(text), MediaProcessingJobData)

    assert data == MediaProcessingJobData(
        media_id="m-9",
        entity_type="user_avatar",
        temp_path="/srv/tmp/a",
        original_filename="a.jpg",
        user_id="u-1",
        metadata={"album": [1, None]},
    )
    assert decode(encode_text(data)) == decode(text)


def test_optional_fields_may_be_absent_or_null() -> None:
    least = {"entityType": "default", "tempPath": "a", "originalFilename": "a"}
    nothing = {"mediaId": None, "userId": None, "metadata": None}

    assert convert(least, MediaProcessingJobData) == convert(
        {**least, **nothing}, MediaProcessingJobData
    )


@pytest.mark.parametrize("field", ["entityType", "tempPath", "originalFilename"])
def test_missing_field_is_named(field: str) -> None:
    whole = {"entityType": "default", "tempPath": "a", "originalFilename": "a"}
    del whole[field]

    with pytest.raises(msgspec.ValidationError, match=f"missing required field `{field}`"):
        convert(whole, MediaProcessingJobData)


def test_result_has_its_names_on_the_wire() -> None:
    variant = Variant(name="small", path="default/m-1/small.webp", width=1, height=2, bytes=3)
    result = MediaResult(media_id="m-1", variants=[variant], original_bytes=9)

    assert decode(encode_text(result)) == {
        "mediaId": "m-1",
        "variants": [
            {
                "name": "small",
                "path": "default/m-1/small.webp",
                "width": 1,
                "height": 2,
                "bytes": 3,
            }
        ],
        "originalBytes": 9,
    }
