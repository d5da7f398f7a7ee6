"""Watches, and never changes what happens."""
