"""The embedded store: one SQLite file that several processes share. No server.

Each process writes from one thread, in shared transactions (`writer.py`). Statements take a whole
batch as JSON, so that waiting for a busy interpreter lock costs once a statement and not once a row
(docs/design/decisions/0002-statements-over-json.md).
"""
