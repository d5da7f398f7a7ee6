"""Typed queues: an API that adds, workers that run, and what both share. See README.md."""
