"""The embedded store: one SQLite file that several processes share. No server.

All writing of a process is done by one thread in shared transactions (`writer.py`); statements work
on whole batches as JSON, so that a busy interpreter lock is paid once a statement and not once a
row (docs/design/decisions/0002-statements-over-json.md).
"""
