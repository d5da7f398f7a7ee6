"""Versions of the table of push subscriptions."""
