"""Reads upload jobs of producers that are out in the world: other names for the fields.

```python
reader = PublishedUploads(settings)
app.bind("media-processing", process_upload, adapter=[process_upload, reader.read], rename="camel")
```
"""

from __future__ import annotations

from typing import Any

import msgspec

from toril.library.images.payloads import MediaResult
from toril.library.images.settings import MediaSettings
from toril.library.images.tasks import process_upload

OTHER = "other"
"""The preset of entity types that are not known, where there is one."""


class PublishedUploads:
    """Reads payloads with `filename` and `uploadedBy`.

    Parameters:
        settings: Its presets say which entity types are known.
    """

    def __init__(self, settings: MediaSettings) -> None:
        self._known = settings.presets.by_entity

    def read(
        self,
        temp_path: str,
        filename: str,
        entity_type: str,
        mime_type: str | None = None,
        entity_id: str | None = None,
        uploaded_by: str | None = None,
        options: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the arguments of `process-upload`. Unknown entity types become `other`."""
        known = entity_type in self._known or OTHER not in self._known
        metadata = {**(options or {}), **({"entityId": entity_id} if entity_id else {})}
        return process_upload.arguments_of(
            entity_type=entity_type if known else OTHER,
            temp_path=temp_path,
            original_filename=filename,
            user_id=uploaded_by,
            metadata=metadata or None,
        )


def with_urls(result: MediaResult) -> dict[str, Any]:
    """Return a result with the keys that published producers read beside ours."""
    urls = {each.name: f"/uploads/{each.path}" for each in result.variants}
    plain: dict[str, Any] = msgspec.to_builtins(result)
    return {"success": True, "mediaId": result.media_id, "urls": urls, **plain}
