"""A client of Toril's REST interface: `Client`, and `AsyncClient` for asynchronous code."""

from toril.client.asynchronous import AsyncClient
from toril.client.failures import ApiError, ServerUnreachableError
from toril.client.streams import LiveMessage
from toril.client.synchronous import Client

__all__ = ["ApiError", "AsyncClient", "Client", "LiveMessage", "ServerUnreachableError"]
