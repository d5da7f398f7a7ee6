"""Totals of jobs by type and tenant: counts, durations and the last error, in a database."""
