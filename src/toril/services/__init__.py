"""Talks to the outside world: image libraries, databases, disks. Knows nothing of jobs.

Each service has a `port.py` (what a caller may rely on) and one module per vendor. Vendors are
imported here and nowhere above; one that is not installed says which extra brings it.
"""
