"""A client of Redis: connections, and how a command finds the right server.

It knows nothing of queues, keys and jobs. The rest of the store uses what this door exports;
`multiplexed.py` is the only implementation.
"""

from toril.backends.redis.client.port import BlockingConnection, Client, Node, Script

__all__ = ["BlockingConnection", "Client", "Node", "Script"]
