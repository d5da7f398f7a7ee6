"""Retries, removes, promotes, cancels, moves and exports many jobs, and goes on after a kill."""
