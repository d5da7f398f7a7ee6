"""Versions of the table of suppressed addresses."""
