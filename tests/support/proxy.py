"""A TCP proxy that does what networks do: goes silent, cuts, loses a reply but not its request."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from types import TracebackType

_CHUNK_BYTES = 64 * 1024


class Proxy:
    """Forwards to a port on this machine until told otherwise. Runs in threads of its own.

    A new connection is always accepted, also while frozen: so does a network whose far end died.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        """May be changed; holds for connections from then on."""
        self._gate = threading.Condition()
        self._frozen = False
        self._closed = False
        self._cut_on: bytes | None = None
        self._hold_on: bytes | None = None
        self._cut_at: int | None = None
        self._freeze_at: int | None = None
        self._requested = 0
        self._links: list[_Link] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._run(self._accept, "accept")

    @property
    def url_port(self) -> int:
        """Return the port to connect to in place of the target's."""
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """Return a URL of Redis behind this proxy."""
        return f"redis://127.0.0.1:{self.url_port}"

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        with self._gate:
            return len(self._links)

    @property
    def requested_bytes(self) -> int:
        """Return how many bytes of requests have gone to the target."""
        with self._gate:
            return self._requested

    def break_after(self, request_bytes: int) -> None:
        """Cut all connections, new ones too, once so many more bytes of requests have passed."""
        with self._gate:
            self._cut_at = self._requested + request_bytes

    def freeze_after(self, request_bytes: int) -> None:
        """Freeze once so many more bytes of requests have passed."""
        with self._gate:
            self._freeze_at = self._requested + request_bytes

    @property
    def is_frozen(self) -> bool:
        """Return whether nothing passes."""
        with self._gate:
            return self._frozen

    def mend(self) -> None:
        """Connections work again."""
        with self._gate:
            self._cut_at = None

    @property
    def is_broken(self) -> bool:
        """Return whether `break_after` has come true."""
        with self._gate:
            return self._cut_at is not None and self._requested >= self._cut_at

    def freeze(self) -> None:
        """Forward nothing more, either way, but keep every connection open."""
        with self._gate:
            self._frozen = True

    def thaw(self) -> None:
        """Forward again, what was held back first."""
        with self._gate:
            self._frozen = False
            self._freeze_at = None
            self._gate.notify_all()

    def cut(self) -> None:
        """Close all connections, at both ends."""
        with self._gate:
            links = list(self._links)
        for link in links:
            link.close()
        with self._gate:
            self._gate.notify_all()

    def cut_after_request(self, matching: bytes = b"") -> None:
        """Let the next request that contains `matching` be carried out, and drop its reply.

        Its connection is closed once the target has done all that it was sent.
        """
        with self._gate:
            self._cut_on = matching

    def hold_after_request(self, matching: bytes) -> None:
        """Say nothing more on the connection of the next request that contains `matching`.

        It stays open, as one to a server that froze.
        """
        with self._gate:
            self._hold_on = matching

    @property
    def has_cut(self) -> bool:
        """Return whether the request that `cut_after_request` waits for has come."""
        with self._gate:
            return self._cut_on is None

    def close(self) -> None:
        """End everything."""
        with self._gate:
            self._closed = True
            self._gate.notify_all()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, work: Callable[..., None], name: str, *arguments: _Link) -> None:
        thread = threading.Thread(target=work, args=arguments, name=f"proxy-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(client, server)
            with self._gate:
                if self._closed:
                    link.close()
                self._links.append(link)
            self._run(self._pump_requests, "requests", link)
            self._run(self._pump_replies, "replies", link)

    def _pump_requests(self, link: _Link) -> None:
        for chunk in _chunks(link.client):
            if not self._may_pass(link):
                break
            if self.is_broken:
                self.cut()
                break
            with self._gate:
                self._requested += len(chunk)
                if self._freeze_at is not None and self._requested >= self._freeze_at:
                    self._frozen = True
                if self._cut_on is not None and self._cut_on in chunk:
                    self._cut_on = None
                    link.mute = True
                if self._hold_on is not None and self._hold_on in chunk:
                    self._hold_on = None
                    link.held = True
            with contextlib.suppress(OSError):
                link.server.sendall(chunk)
            if link.mute:
                break
        # Not closed yet: a reset could take away what the target has not read.
        with contextlib.suppress(OSError):
            link.server.shutdown(socket.SHUT_WR)
        self._ended(link)

    def _pump_replies(self, link: _Link) -> None:
        for chunk in _chunks(link.server):
            if link.mute or link.held:
                continue
            if not self._may_pass(link):
                break
            with contextlib.suppress(OSError):
                link.client.sendall(chunk)
        with contextlib.suppress(OSError):
            link.client.shutdown(socket.SHUT_RDWR)
        self._ended(link)

    def _may_pass(self, link: _Link) -> bool:
        with self._gate:
            self._gate.wait_for(lambda: not self._frozen or link.is_closed or self._closed)
            return not (link.is_closed or self._closed)

    def _ended(self, link: _Link) -> None:
        with self._gate:
            link.pumps -= 1
            if link.pumps == 0:
                link.close()
                link.client.close()
                link.server.close()
                self._links.remove(link)


class _Link:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.mute = False
        """No reply goes through any more, and it ends."""
        self.held = False
        """No reply goes through any more."""
        self.is_closed = False
        self.pumps = 2

    def close(self) -> None:
        """Wake both pumps with the end of their stream; the last of them closes the sockets."""
        self.is_closed = True
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _chunks(end: socket.socket) -> Iterator[bytes]:
    """Yield what arrives, until the end."""
    with contextlib.suppress(OSError):
        while chunk := end.recv(_CHUNK_BYTES):
            yield chunk
