"""Writes the two clients of the REST interface from its routes, for `make client`.

A test compares what is written with what is there.
"""

from __future__ import annotations

import datetime
import enum
import subprocess
import sys
import textwrap
import types
import typing
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import UNSET, UnsetType

from toril.rest.answers import Page
from toril.web.declaring import Raw, Route
from toril.web.field_texts import texts_of
from toril.web.routes import ROUTES

FOLDER = Path(__file__).parents[2] / "src" / "toril" / "client"

HEAD = '''"""{sign}

Made from the routes of the server by `make client`: change those.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self

from msgspec import UNSET, UnsetType

from toril.client.failures import refused, unreachable
from toril.client.messages import (
    PATH,
    TIMEOUT_S,
    address,
    body_of,
    headers_of,
    http_library,
    read,
    target,
)
from toril.client.streams import LiveMessage, Reader
{imports}

class AsyncClient:
    """A client of a server. {kind}

    Each method is one request. All raise `ApiError` if the server refuses or fails, with its
    sentence; and `ServerUnreachableError` if it does not answer.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        path: str = PATH,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Make a client. Nothing is asked yet.

        Parameters:
            url: Where the server is, or what it is mounted in: `http://localhost:3030`.
            key: Who asks. None: a server on this machine may need none.
            path: Where the interface is below `url`.
            timeout_s: How long a request may take.

        Raises:
            MissingExtraError: The extra `client` is not installed.
        """
        self._library = http_library()
        self._url = address(url, path)
        self._http = self._library.AsyncClient(headers=headers_of(key), timeout=timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _ask(
        self,
        kind: Any,
        method: str,
        *parts: str,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request and return its answer as a type."""
        content = None if body is None else body_of(body)
        sent = dict(headers or {{}})
        if body is not None:
            sent["content-type"] = "application/json"
        try:
            answer = await self._http.request(
                method, target(self._url, parts, query or {{}}), content=content, headers=sent
            )
        except self._library.HTTPError as error:
            raise unreachable(self._url, error) from None
        return read(answer.status_code, answer.content, answer.headers.get("retry-after"), kind)

    async def export_jobs(self, *, q: str = "") -> AsyncIterator[bytes]:
        """Give jobs whole, all that a search finds: one JSON object a line.

        Parameters:
            q: What to look for.
        """
        url = target(self._url, ("jobs", "export"), {{"q": q}})
        try:
            async with self._http.stream("GET", url, timeout=60.0) as answer:
                if answer.status_code != 200:
                    content = await answer.aread()
                    raise refused(answer.status_code, content, answer.headers.get("retry-after"))
                async for line in answer.aiter_lines():
                    yield line.encode()
        except self._library.HTTPError as error:
            raise unreachable(self._url, error) from None

    async def stream(
        self,
        *,
        overview: bool = False,
        workers: bool = False,
        store: bool = False,
        queues: Sequence[str] = (),
        after: str | None = None,
    ) -> AsyncIterator[LiveMessage]:
        """Follow what happens, until the loop is left or the server ends the stream.

        Parameters:
            overview: Messages `overview`: the queues whose figures have changed.
            workers: Messages `workers`: all workers, when something of them changes.
            store: Messages `store`: which store is live; `switched`: each switch to another.
            queues: Messages `event`: the events of these queues.
            after: `LiveMessage.id` of the last message seen: events since then come first.
        """
        topics = ["overview"] * overview + ["workers"] * workers + ["store"] * store
        topics += [f"queue:{{name}}" for name in queues]
        url = target(self._url, ("stream",), {{"topics": ",".join(topics) or "overview"}})
        headers = {{}} if after is None else {{"last-event-id": after}}
        reader = Reader()
        try:
            # Silence is no failure: a comment comes every 15 s.
            async with self._http.stream("GET", url, headers=headers, timeout=60.0) as answer:
                if answer.status_code != 200:
                    content = await answer.aread()
                    wait_s = answer.headers.get("retry-after")
                    raise refused(answer.status_code, content, wait_s)
                async for line in answer.aiter_lines():
                    message = reader.take(line)
                    if message is not None:
                        yield message
        except self._library.HTTPError as error:
            raise unreachable(self._url, error) from None
'''

SYNC = (
    ("AsyncClient", "Client"),
    ("AsyncIterator", "Iterator"),
    ("async def", "def"),
    ("async with", "with"),
    ("async for", "for"),
    ("await ", ""),
    ("__aenter__", "__enter__"),
    ("__aexit__", "__exit__"),
    ("aclose", "close"),
    ("aread", "read"),
    ("aiter_lines", "iter_lines"),
)


IN_PARTS = ("export_jobs", "stream")
"""Methods that are written by hand: their answers come in parts."""


class Writer:
    """Writes methods, and remembers what they need to import."""

    def __init__(self) -> None:
        self.needed: dict[str, set[str]] = {}

    def spell(self, kind: Any) -> str:
        """Return a type as an annotation."""
        if kind is Any:
            return "Any"
        if kind is None or kind is type(None):
            return "None"
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is typing.Annotated:
            return self.spell(arguments[0])
        if origin in (types.UnionType, typing.Union):
            return " | ".join(map(self.spell, arguments))
        if origin is Literal:
            return f"Literal[{', '.join(map(repr, arguments))}]".replace("'", '"')
        if origin is list:
            return f"Sequence[{self.spell(arguments[0])}]"
        if origin is not None and origin is Page:
            return f"{self.spell(Page)}[{self.spell(arguments[0])}]"
        if kind in (int, float, str, bool):
            return str(kind.__name__)
        if kind in (datetime.datetime, UnsetType):
            return str(kind.__name__)
        self.needed.setdefault(kind.__module__, set()).add(kind.__name__)
        return str(kind.__name__)

    def method(self, route: Route) -> str:
        """Return the method of a route."""
        positional = [f"{part}: str" for part in route.parts]
        keywords: list[str] = []
        notes: list[tuple[str, str]] = []
        query = self._parameters(route.query, positional, keywords, notes, skip=("fields",))
        body = self._parameters(route.body, positional, keywords, notes)
        if route.submits:
            keywords.append("idempotency_key: str | None = None")
            notes.append(("idempotency_key", "A second request with it adds nothing for a day."))
        signature = ["self", *positional, *(["*", *keywords] if keywords else [])]
        answer = "str" if route.answer is Raw else self.spell(route.answer)
        text = self._docstring(route, notes)
        parts = [each[1:-1] if each.startswith("{") else f'"{each}"' for each in route.segments]
        sent = [answer, f'"{route.method}"', *parts]
        if query:
            sent.append("query={" + ", ".join(f'"{name}": {name}' for name in query) + "}")
        if route.body is not None:
            sent.append("body={" + ", ".join(f'"{name}": {name}' for name in body) + "}")
        if route.submits:
            sent.append(
                'headers={} if idempotency_key is None else {"idempotency-key": idempotency_key}'
            )
        return (
            f"    async def {route.name}({', '.join(signature)}) -> {answer}:\n"
            f"{text}"
            f"        found: {answer} = await self._ask({', '.join(sent)})\n"
            "        return found\n"
        )

    def _parameters(
        self,
        kind: Any,
        positional: list[str],
        keywords: list[str],
        notes: list[tuple[str, str]],
        skip: tuple[str, ...] = (),
    ) -> list[str]:
        if kind is None:
            return []
        hints = typing.get_type_hints(kind, include_extras=True)
        names = []
        for field in msgspec.structs.fields(kind):
            if field.name in skip:
                continue
            names.append(field.name)
            spelled = self.spell(hints[field.name])
            if (text := texts_of(kind).get(field.name)) is not None:
                notes.append((field.name, text))
            if field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT:
                positional.append(f"{field.name}: {spelled}")
            elif field.name == "data":
                positional.append("data: Any = UNSET")
            elif field.default is msgspec.NODEFAULT:
                keywords.append(f"{field.name}: {spelled} = ()")
            elif field.default is UNSET:
                keywords.append(f"{field.name}: {spelled} = UNSET")
            else:
                default = field.default
                if isinstance(default, enum.Enum):
                    default = default.value
                keywords.append(f"{field.name}: {spelled} = {default!r}".replace("'", '"'))
        return names

    def _docstring(self, route: Route, notes: list[tuple[str, str]]) -> str:
        paragraphs = [route.summary, *([route.description] if route.description else [])]
        texts = ["\n".join(textwrap.wrap(each, 91)) for each in paragraphs]
        if notes:
            lines = ["Parameters:"]
            for name, text in notes:
                lines += textwrap.wrap(
                    f"{name}: {text}", 87, initial_indent="    ", subsequent_indent="        "
                )
            texts.append("\n".join(lines))
        whole = "\n\n".join(texts)
        if "\n" not in whole:
            return f'        """{whole}"""\n'
        return textwrap.indent(f'"""{whole}\n"""\n', " " * 8)


def sources() -> dict[str, str]:
    """Return both clients, by the names of their files."""
    writer = Writer()
    methods = [writer.method(route) for route in ROUTES if route.name not in IN_PARTS]
    imports = "".join(
        f"from {module} import {', '.join(sorted(names))}\n"
        for module, names in sorted(writer.needed.items())
    )
    head = HEAD.format(sign="{sign}", kind="{kind}", imports=imports)
    whole = head + "\n" + "\n".join(methods)
    asynchronous = whole.replace("{sign}", "The client for asynchronous code.").replace(
        "{kind}", "`async with` closes it."
    )
    synchronous = whole.replace("{sign}", "The client for plain code.").replace(
        "{kind}", "`with` closes it."
    )
    for word, other in SYNC:
        synchronous = synchronous.replace(word, other)
    return {
        "asynchronous.py": formatted(asynchronous),
        "synchronous.py": formatted(synchronous),
    }


def formatted(text: str) -> str:
    """Return source text as `make fmt` leaves it."""
    for command in (
        ["check", "--fix-only", "--quiet", "--select", "F,I,UP"],
        ["format", "--quiet"],
    ):
        text = subprocess.run(
            [
                *(sys.executable, "-m", "ruff", *command),
                *("--stdin-filename", str(FOLDER / "one.py"), "-"),
            ],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
        ).stdout
    return text


if __name__ == "__main__":
    for name, text in sources().items():
        (FOLDER / name).write_text(text, "utf-8")
