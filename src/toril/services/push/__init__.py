"""Sends messages to browsers by Web Push, and remembers who subscribed. See `port.py`."""
