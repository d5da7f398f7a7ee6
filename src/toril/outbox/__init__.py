"""Jobs that are rows of the caller's database, until a relay has added them to the store.

A row commits or rolls back with whatever else the caller's transaction changes. `writer.py` writes
rows, `relay.py` adds their jobs to the store and then removes them.
"""
