"""Encodes a task's result as JSON, and decodes it as the annotated type."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from types import NoneType
from typing import Any, Never, NoReturn, get_args, get_origin

import msgspec

from toril.core.codec import decode, decode_with, encode_as_is, encode_text
from toril.core.errors import InvalidOptionError, InvalidPayloadError
from toril.engine.options import RunIn
from toril.tasks.annotations import UncarriedError, judge_type, named
from toril.tasks.round_trips import written

_SIMPLE = (str, int, bool)
"""Types that always read back equal. Not float, which may be NaN."""
_NOTHING = (None, NoneType, Any, object, Never, NoReturn)
"""Annotations that promise nothing: the result is whatever JSON it becomes."""


class ResultType:
    """What a task returns."""

    def __init__(self, task: str, kind: Any, max_bytes: int, run_in: RunIn) -> None:
        """Read the annotation of a function's result.

        Raises:
            InvalidOptionError: JSON cannot carry it.
        """
        self._task = task
        self._max_bytes = max_bytes
        if run_in == "process" and get_origin(kind) in (Awaitable, Coroutine):
            kind = get_args(kind)[-1]  # a child waits for it
        self._simple = kind if kind in _SIMPLE else None
        self._decoder: msgspec.json.Decoder[Any] | None = None
        self._holds_any = self._is_trusted = True
        if kind not in _NOTHING:
            try:
                self._decoder, self._holds_any, self._is_trusted = judge_type(kind)
            except UncarriedError as error:
                raise InvalidOptionError(
                    f"task {task!r}, its result: {named(kind)} cannot be stored: {error}"
                ) from error

    def encode(self, result: object, *, replaced: bool = False) -> str:
        """Return a result as JSON text.

        Parameters:
            result: What the task returned.
            replaced: Middleware returned it in place of the task's own: any JSON will do.

        Raises:
            TypeError, ValueError: It is not JSON, or too large, or not what the annotation says,
                or would not come back as it is.
        """
        if result is None:
            return "null"
        if type(result) is self._simple:
            text = encode_as_is(result).decode()
        elif self._decoder is None or replaced:
            text = encode_text(result)
        else:
            try:
                encoded = written(
                    result, self._decoder, is_trusted=self._is_trusted, as_json=self._holds_any
                )
            except msgspec.ValidationError as error:  # a ValueError of newer releases only
                raise ValueError(str(error)) from None
            text = encoded.decode()
        limit = self._max_bytes
        if len(text) > limit // 4 and (size := len(text.encode())) > limit:
            raise ValueError(
                f"{size} bytes; at most max_result_bytes={limit}. Store it elsewhere and return its"
                " address"
            )
        return text

    def decode(self, text: str) -> Any:
        """Return a result from its JSON text.

        Raises:
            InvalidPayloadError: It is not of the annotated type: another version of the program,
                or of the task, has made it.
        """
        if text == "null":
            return None
        if self._decoder is None:
            return decode(text)
        try:
            return decode_with(self._decoder, text)
        except msgspec.ValidationError as error:
            raise InvalidPayloadError(self._task, "(result)", str(error)) from None
