"""Remembers which media exist, in the application's own database. See `port.py`."""
