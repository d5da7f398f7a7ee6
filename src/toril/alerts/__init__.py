"""Watches a store and tells people what is wrong. Never changes what happens to a job.

Read next: `watch.py` (the loop), `rules.py` (what is wrong), `turn.py` (who is told, and when).
"""
