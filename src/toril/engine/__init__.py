"""Decides what happens to a job. Knows no store: it owns the contract that a store fulfils."""
