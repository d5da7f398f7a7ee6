"""What is measured of the queues for Python, for all in the same way; each is in `queues/`."""
