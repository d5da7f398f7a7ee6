"""Reads what a request says: parts of the path, the query and the body, each checked by its type.

What is refused is named, with the value and what would do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote

import msgspec
from starlette.types import Scope

from toril.core.checks import unknown
from toril.core.codec import convert, decode, decode_with, decoder_of
from toril.rest.bodies import Body, Query
from toril.web.limits import check_depth, check_values, may_be_excessive
from toril.web.problems import Problem
from toril.web.shapes import allowed_at, is_list, known_at, names_of

B = TypeVar("B", bound=Body)
Q = TypeVar("Q", bound=Query)

MOST_PARAMETERS = 100

_AT = re.compile(r"^(.*?)(?: - at `(?:key in )?(\$[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)


def segments_of(scope: Scope, *, errors: str = "strict") -> list[str] | None:
    """Return the path below where the server is mounted, part by part, as the caller meant it.

    The path as it was sent is read, since the names of queues may hold a `/`, sent as `%2F`. None:
    it is no text, unless `errors` is `replace`.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    # Some servers put the mount's path before the request's, some leave it out.
    within = root != "" and (path == root or path.startswith(f"{root}/"))
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        return (path[len(root) :] if within else path).split("/")[1:]
    mounted = root.count("/") if within else 0
    try:
        parts = raw.partition(b"?")[0].decode("ascii").split("/")[mounted + 1 :]
        return [unquote(part, errors=errors) for part in parts]
    except ValueError:
        return None


def read_query(kind: type[Q], query: bytes) -> Q:
    """Return the parameters of a query.

    Raises:
        Problem: One is unknown, comes twice or makes no sense.
    """
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError:
        raise Problem(
            400, "query_unreadable", f"the query is no text in UTF-8 of up to {MOST_PARAMETERS}"
            " parameters",
        ) from None  # fmt: skip
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name not in names_of(kind):
            raise Problem(
                422,
                "unknown_parameter",
                unknown("parameter", name[:100], names_of(kind)),
                field=name[:100],
                allowed=names_of(kind),
            )
        if is_list(kind, name):
            values.setdefault(name, []).append(value)
        elif name in values:
            raise Problem(422, "given_twice", f"{name}: give it once", field=name)
        else:
            values[name] = value
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(kind, error) from None


def refuse_query(query: bytes) -> None:
    """Refuse a query where none is taken.

    Raises:
        Problem: There is one.
    """
    if query:
        name = query[:100].decode("ascii", "replace").partition("=")[0]
        raise Problem(422, "unknown_parameter", f"parameter {name!r}: none is taken here")


def read_json(kind: type[B], body: bytes) -> B:
    """Return a body.

    Raises:
        Problem: It is no JSON, is excessive, or does not fit.
    """
    try:
        check_depth(body)
        if not may_be_excessive(body):
            found: B = decode_with(_decoder(kind), body)
            return found
        whole = decode(body)
        check_values(whole)
        return convert_to(kind, whole)
    except msgspec.ValidationError as error:
        raise invalid(kind, error) from None
    except (ValueError, RecursionError) as error:
        raise Problem(400, "not_json", f"the body is not JSON: {error}") from None


def convert_to(kind: type[B], value: object) -> B:
    """Return a decoded body as its type; raises msgspec's error."""
    found: B = convert(value, kind)
    return found


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return decoder_of(kind)


def invalid(kind: Any, error: msgspec.ValidationError) -> Problem:
    """Return the answer to what does not fit a type, with the words that would."""
    parted = _AT.match(str(error))
    text, path = (str(error), "$") if parted is None else (parted[1], parted[2] or "$")
    allowed: Sequence[str] | None = allowed_at(kind, path) or None
    if (found := _UNKNOWN.fullmatch(text)) is not None:
        known = known_at(kind, path)
        name = _joined(path, found[1])
        return Problem(
            422, "unknown_field", unknown("field", found[1][:100], known), field=name, allowed=known
        )
    if (found := _MISSING.fullmatch(text)) is not None:
        name = _joined(path, found[1])
        return Problem(422, "missing_field", f"{name} is missing", field=name)
    name = path[1:].lstrip(".")
    words = f"{text[:1].lower()}{text[1:]}" if text else "makes no sense"
    if allowed is not None:
        words += f": one of {', '.join(allowed)}"
    return Problem(422, "invalid", f"{name or 'the body'}: {words}", field=name or None,
                   allowed=allowed)  # fmt: skip


def _joined(path: str, name: str) -> str:
    return f"{path[1:].lstrip('.')}.{name}".lstrip(".")[:200]
