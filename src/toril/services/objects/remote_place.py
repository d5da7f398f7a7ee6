"""Which server keeps objects, and how it is reached: by obstore, loaded when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

Kind = Literal["s3", "gs", "az"]
_STORES = {"s3": "S3Store", "gs": "GCSStore", "az": "AzureStore"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RemotePlace:
    """Which storage, and how it is reached. `opening.py` makes one of a URL."""

    kind: Kind
    bucket: str
    prefix: str = ""
    """In front of all keys, without a slash at its end."""
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What obstore's store of this kind takes. May hold secrets."""
    shown: str = ""
    """For people: without secrets."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What no error may show."""
    plain_http: bool = False
    connect_timeout_s: float = 5.0
    timeout_s: float = 60.0
    """For each request, in seconds: a part of an upload, the whole of a download's answer."""
    retries: int = 3
    """How often a request is sent again that had no answer."""
    resume_dir: Path | None = None
    """Where notes of unfinished uploads are, on S3. None: an upload is sent from its beginning."""


def opened(place: RemotePlace) -> Any:
    """Return obstore's store of a place. It connects when it is used."""
    stores = importlib.import_module("obstore.store")
    options: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=place.connect_timeout_s),
        "timeout": timedelta(seconds=place.timeout_s),
    }
    if place.plain_http:
        options["allow_http"] = True
    return getattr(stores, _STORES[place.kind])(
        place.bucket,
        prefix=place.prefix or None,
        client_options=options,
        retry_config={
            "max_retries": place.retries,
            "retry_timeout": timedelta(seconds=place.timeout_s),
        },
        **place.config,
    )
