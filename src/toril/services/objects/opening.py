"""Opens the storage that a URL or the environment names. Errors never show a secret."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from toril.core.checks import require, unknown
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.core.extras import missing_extra
from toril.core.redact import without_password
from toril.services.objects.folder import FolderObjects
from toril.services.objects.keys import check_prefix
from toril.services.objects.links import Links
from toril.services.objects.memory import MemoryObjects
from toril.services.objects.port import ObjectStore
from toril.services.objects.remote import RemoteObjects
from toril.services.objects.remote_place import RemotePlace
from toril.services.unusable import UnusableInputError

DEFAULT_FOLDER = "uploads"
"""Where objects go when nothing is set."""
_EXAMPLE = (
    "file://./uploads, s3://bucket?endpoint=https://s3.example.com, gs://bucket,"
    " az://container?account=name or memory://"
)
_SCHEMES = ("file", "s3", "gs", "az", "memory")
_YES_OR_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_S3 = ("S3_ENDPOINT", "S3_BUCKET", "S3_REGION", "S3_ACCESS_KEY", "S3_SECRET_KEY")


def open_objects(
    url: str, *, links: Links | None = None, resume_dir: Path | str | None = None
) -> ObjectStore:
    """Return the storage of a URL. It connects when it is used.

    Parameters:
        url: `file://./uploads`, `file:///srv/uploads`, `memory://`, `s3://bucket/prefix`,
            `gs://bucket/prefix`, `az://container/prefix?account=name`. Of S3, with options after a
            `?`: `endpoint` (a compatible server), `region`, `path_style` (`no`: the bucket is part
            of the endpoint's name), and `KEY:SECRET@` in front of the bucket; without them AWS's
            own variables and services are asked. Of all servers: `timeout_s` and `retries`.
        links: What makes links of a folder or memory. Default: theirs.
        resume_dir: Of `s3://` only: see `s3_objects`.

    Raises:
        InvalidOptionError: The URL makes no sense, or this storage takes no `resume_dir`.
        MissingExtraError: `resume_dir` without the extra `s3`.
    """
    scheme, separator, rest = str(url).partition("://")
    if not separator:
        raise InvalidOptionError(f"url: expected {_EXAMPLE}")
    if scheme not in _SCHEMES:
        raise InvalidOptionError(f"url: {unknown('scheme', scheme, _SCHEMES)}")
    none = f"none, as uploads to {scheme}:// cannot go on where they stopped; those to s3:// can"
    require(resume_dir is None or scheme == "s3", "resume_dir", resume_dir, none)
    if scheme == "memory":
        return MemoryObjects(links=links)
    if scheme == "file":
        path = unquote(rest)
        require(path.strip("/") != "" and "?" not in rest, "url", url, "file:// and a folder")
        return FolderObjects(Path(path), links=links)
    return RemoteObjects(_Remote(scheme, rest).place(resume_dir))


def objects_from_environment(
    environ: Mapping[str, str] | None = None, *, folder: Path | str = DEFAULT_FOLDER
) -> ObjectStore:
    """Return the storage that the environment names; a folder if it names none.

    Reads `STORAGE_URL`; without it `S3_BUCKET`, `S3_ENDPOINT`, `S3_REGION`, `S3_ACCESS_KEY` and
    `S3_SECRET_KEY`. `STORAGE_LINK_URL` says where links of a folder or memory lead, and
    `STORAGE_LINK_SECRETS` signs them (at least 16 characters; `new,old` to change one). Empty means
    unset. `STORAGE_RESUME_DIR` is the `resume_dir` of `s3_objects`.

    Parameters:
        environ: Where to read. Default: the process's own environment.
        folder: Used if nothing is set.

    Raises:
        InvalidSettingError: With the variable's name and what would do.
        MissingExtraError: `STORAGE_RESUME_DIR` without the extra `s3`.
    """
    environ = os.environ if environ is None else environ
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
    links = _links(given)
    url = given.get("STORAGE_URL")
    if url is not None:
        resume_dir = _resuming(given, url.partition("://")[0])
        try:
            return open_objects(url, links=links, resume_dir=resume_dir)
        except InvalidOptionError as error:
            raise InvalidSettingError(f"STORAGE_URL: {error}") from None
    set_names = [name for name in _S3 if name in given]
    resume_dir = _resuming(given, "s3" if set_names else "file")
    if not set_names:
        return FolderObjects(folder, links=links)
    bucket = given.get("S3_BUCKET")
    if bucket is None:
        raise InvalidSettingError(f"S3_BUCKET is not set, but {set_names[0]} is: set it, too")
    if ("S3_ACCESS_KEY" in given) != ("S3_SECRET_KEY" in given):
        raise InvalidSettingError("S3_ACCESS_KEY and S3_SECRET_KEY: set both or none")
    return s3_objects(
        bucket,
        endpoint=given.get("S3_ENDPOINT"),
        region=given.get("S3_REGION"),
        access_key=given.get("S3_ACCESS_KEY"),
        secret_key=given.get("S3_SECRET_KEY"),
        resume_dir=resume_dir,
    )


def s3_objects(
    bucket: str,
    *,
    prefix: str = "",
    endpoint: str | None = None,
    region: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
    path_style: bool = True,
    timeout_s: float = 60.0,
    retries: int = 3,
    resume_dir: Path | str | None = None,
) -> RemoteObjects:
    """Return a storage on S3 or a compatible server.

    Parameters:
        bucket: Its bucket, which has to be there.
        prefix: In front of all keys.
        endpoint: Of a compatible server, such as `http://localhost:9000`. Default: Amazon's.
        region: Default: AWS's own variables, else `us-east-1`.
        access_key: With `secret_key`. Default: AWS's own variables and services are asked.
        secret_key: Not shown.
        path_style: Whether the bucket is a part of the path, in place of the endpoint's name.
        timeout_s: For each request, in seconds.
        retries: How often a request is sent again that had no answer.
        resume_dir: A private folder for notes of unfinished uploads. A file over 8 MiB at a `Path`
            whose upload was interrupted then goes on where it stopped, when it is put again under
            the same key, with the same content and description. Processes may share the folder.
            Default: none; such a file is sent from its beginning. Needs the extra `s3`.

    Raises:
        InvalidOptionError: An option makes no sense.
        MissingExtraError: `resume_dir` without the extra `s3`.
    """
    config: dict[str, Any] = {"virtual_hosted_style_request": not path_style}
    given = {
        "endpoint": endpoint,
        "region": region,
        "access_key_id": access_key,
        "secret_access_key": secret_key,
    }
    config |= {name: value for name, value in given.items() if value is not None}
    server = f" at {without_password(endpoint)}" if endpoint is not None else ""
    if endpoint is not None:
        good = endpoint.startswith(("http://", "https://"))
        expected = "an address such as https://s3.example.com"
        require(good, "endpoint", without_password(endpoint), expected)
    return RemoteObjects(
        RemotePlace(
            kind="s3",
            bucket=bucket,
            prefix=prefix,
            config=config,
            shown=f"s3://{bucket}{'/' if prefix else ''}{prefix}{server}",
            secrets=tuple(one for one in (access_key, secret_key) if one),
            plain_http=endpoint is not None and endpoint.startswith("http://"),
            timeout_s=timeout_s,
            retries=retries,
            resume_dir=_resume_dir(resume_dir),
        )
    )


class _Remote:
    """A URL of a server, taken apart."""

    def __init__(self, scheme: str, rest: str) -> None:
        self._scheme = scheme
        rest, _, query = rest.partition("?")
        user, at = "", ""
        if set(rest.partition("/")[0]) & {":", "@"}:
            user, at, rest = rest.rpartition("@")  # a / or @ in a secret does no harm
            # What stands there may be a secret: nothing of it is shown.
            require(bool(at), "url", f"{scheme}://…", "KEY:SECRET@ in front of the bucket")
        bucket, _, path = rest.partition("/")
        self._bucket = unquote(bucket)
        self._shown = f"{scheme}://{rest.rstrip('/')}"
        access_key, colon, secret_key = user.partition(":")
        self._access_key = unquote(access_key) if at else None
        self._secret_key = unquote(secret_key) if colon else None
        self._check(bool(self._bucket), "a bucket")
        both = bool(self._access_key) == bool(self._secret_key)
        self._check(both, "KEY:SECRET@ in front of the bucket")
        self._check(scheme == "s3" or not at, "no KEY:SECRET@ (s3:// only)")
        self._options = self._read_options(query)
        try:
            self._prefix = check_prefix(unquote(path).strip("/"))
        except UnusableInputError as error:
            raise InvalidOptionError(f"url={self._shown!r}: {error}") from None

    def place(self, resume_dir: Path | str | None) -> RemotePlace:
        """Return what the parts say."""
        options = self._options
        timeout_s = self._number("timeout_s", 60.0)
        retries = int(self._number("retries", 3))
        if self._scheme == "s3":
            style = options.get("path_style", "yes").lower()
            self._check(style in _YES_OR_NO, "path_style=yes or path_style=no")
            return s3_objects(
                self._bucket,
                prefix=self._prefix,
                endpoint=options.get("endpoint"),
                region=options.get("region"),
                access_key=self._access_key,
                secret_key=self._secret_key,
                path_style=_YES_OR_NO[style],
                timeout_s=timeout_s,
                retries=retries,
                resume_dir=resume_dir,
            ).place
        config: dict[str, Any] = {}
        if self._scheme == "az":
            self._check("account" in options, "?account= and the name of the storage account")
            config["account_name"] = options["account"]
            names = {"endpoint": "endpoint"}
        else:
            names = {"service_account": "service_account"}
        config |= {theirs: options[ours] for ours, theirs in names.items() if ours in options}
        return RemotePlace(
            kind="az" if self._scheme == "az" else "gs",
            bucket=self._bucket,
            prefix=self._prefix,
            config=config,
            shown=self._shown,
            plain_http=options.get("endpoint", "").startswith("http://"),
            timeout_s=timeout_s,
            retries=retries,
        )

    def _read_options(self, query: str) -> dict[str, str]:
        known = {"timeout_s", "retries"} | {
            "s3": {"endpoint", "region", "path_style"},
            "gs": {"service_account"},
            "az": {"account", "endpoint"},
        }[self._scheme]
        options: dict[str, str] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in known:
                raise InvalidOptionError(f"url={self._shown!r}: {unknown('option', name, known)}")
            options[name] = value
        return options

    def _number(self, name: str, default: float) -> float:
        text = self._options.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        low = 0 if name == "retries" else 0.001
        require(low <= value <= 3600, f"url option {name}", text, f"a number, {low} to 3600")
        return value

    def _check(self, holds: bool, expected: str) -> None:
        require(holds, "url", self._shown, expected)


def _resume_dir(given: Path | str | None) -> Path | None:
    if given is None:
        return None
    good = isinstance(given, (str, Path)) and str(given).strip() != "" and "\0" not in str(given)
    require(good, "resume_dir", given, "a folder for notes of unfinished uploads")
    folder = Path(given).absolute()
    is_free = not os.path.lexists(folder) or folder.is_dir()
    require(is_free, "resume_dir", str(given), "a folder; something else has this name")
    if importlib.util.find_spec("botocore") is None:
        raise missing_extra("resume_dir needs botocore", "s3")
    return folder


def _resuming(given: Mapping[str, str], scheme: str) -> Path | None:
    """Return the folder that `STORAGE_RESUME_DIR` names for a storage of this scheme."""
    named = given.get("STORAGE_RESUME_DIR")
    if named is not None and scheme in _SCHEMES and scheme != "s3":
        raise InvalidSettingError(
            f"STORAGE_RESUME_DIR={named!r}: expected it unset, as uploads to {scheme}:// cannot go"
            " on where they stopped; those to s3:// can"
        )
    try:
        return _resume_dir(named)
    except InvalidOptionError as error:
        raise InvalidSettingError(f"STORAGE_RESUME_DIR: {error}") from None


def _links(given: Mapping[str, str]) -> Links | None:
    secrets = given.get("STORAGE_LINK_SECRETS")
    base_url = given.get("STORAGE_LINK_URL")
    if secrets is None:
        if base_url is not None:
            raise InvalidSettingError(
                "STORAGE_LINK_SECRETS is not set, but STORAGE_LINK_URL is: set it to a secret of at"
                " least 16 characters"
            )
        return None
    signing = [one.strip().encode() for one in secrets.split(",") if one.strip()]
    try:
        return Links(signing, base_url=base_url or "/files")
    except InvalidOptionError as error:
        raise InvalidSettingError(f"STORAGE_LINK_SECRETS, STORAGE_LINK_URL: {error}") from None
