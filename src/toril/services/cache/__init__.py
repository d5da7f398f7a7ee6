"""Keeps values for a while, in Redis or in memory. A value may be gone at any time."""
