"""Keeps an app going while its Redis server is away: jobs go to a spool, and move back later.

Read next: `breaker.py` (which store is live), `adding.py` (how a job is added), `mover.py` (how
jobs move back), `keeper.py` (the thread that watches).
"""
