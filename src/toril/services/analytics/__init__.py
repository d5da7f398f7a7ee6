"""Figures of events: what happened, and a row for each metric and stretch of time."""
