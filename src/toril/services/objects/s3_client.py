"""Sets botocore up as obstore is: the same server, keys, region and limits.

This is the only module that knows botocore, which is loaded when it is used.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from toril.core.extras import missing_extra
from toril.services.objects.errors import StorageDeniedError
from toril.services.objects.remote_errors import without_secrets
from toril.services.objects.remote_place import RemotePlace

_NOTHING = (None, None, None, None)
_NO_FILE = (None, None, os.devnull, None)


def s3_client(place: RemotePlace) -> Any:
    """Return botocore's client of a place, which reaches the same server as obstore's does.

    Raises:
        MissingExtraError: botocore is not installed.
        StorageDeniedError: It refuses the endpoint.
    """
    try:
        session = importlib.import_module("botocore.session")
        configs = importlib.import_module("botocore.config")
    except ImportError:
        raise missing_extra("resume_dir needs botocore", "s3") from None
    virtual = bool(place.config.get("virtual_hosted_style_request"))
    endpoint = _endpoint(place, os.environ)
    # obstore reads AWS's variables and services, and not its files: nor does this.
    made = session.Session(
        session_vars={
            "profile": _NOTHING,
            "config_file": _NO_FILE,
            "credentials_file": _NO_FILE,
        }
    )
    try:
        client = made.create_client(
            "s3",
            region_name=_region(place, os.environ),
            endpoint_url=endpoint,
            aws_access_key_id=place.config.get("access_key_id"),
            aws_secret_access_key=place.config.get("secret_access_key"),
            config=configs.Config(
                connect_timeout=place.connect_timeout_s,
                read_timeout=place.timeout_s,
                retries={"total_max_attempts": 1},
                # Each part has its MD5; not every server knows the checksums that are newer.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": "virtual" if virtual and endpoint is None else "path"},
            ),
        )
    except ValueError as error:
        reason = without_secrets(one_line(error), place.secrets)
        raise StorageDeniedError(f"{place.shown}: {reason}") from None
    if virtual and endpoint is not None:
        client.meta.events.register("before-sign.s3", _without_bucket(place.bucket))
    return client


def _without_bucket(bucket: str) -> Callable[..., None]:
    """Return what takes the bucket out of a request's path: the endpoint's name has it already."""

    def rewrite(request: Any, **_: object) -> None:
        scheme, slashes, rest = request.url.partition("://")
        host, _, path = rest.partition("/")
        request.url = f"{scheme}{slashes}{host}/{path.removeprefix(f'{bucket}/')}"

    return rewrite


def _endpoint(place: RemotePlace, environ: Mapping[str, str]) -> str | None:
    given = place.config.get("endpoint")
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        given = given or environ.get(name)
    return given


def _region(place: RemotePlace, environ: Mapping[str, str]) -> str:
    given = place.config.get("region")
    return str(
        given or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    )


def encryption(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return how the server is to encrypt the object, by the variables that obstore reads."""
    names = {
        "AWS_SERVER_SIDE_ENCRYPTION": "ServerSideEncryption",
        "AWS_SSE_KMS_KEY_ID": "SSEKMSKeyId",
    }
    asked: dict[str, Any] = {
        theirs: environ[ours] for ours, theirs in names.items() if environ.get(ours)
    }
    if environ.get("AWS_SSE_BUCKET_KEY_ENABLED"):
        asked["BucketKeyEnabled"] = environ["AWS_SSE_BUCKET_KEY_ENABLED"].lower() in (
            "1",
            "true",
            "yes",
        )
    return asked


def one_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
