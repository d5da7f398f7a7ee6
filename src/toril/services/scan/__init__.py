"""Looks for viruses: `port.py` says what a scanner promises, `clamd.py` and `memory.py` do it."""
