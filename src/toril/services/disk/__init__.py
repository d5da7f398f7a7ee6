"""Reads and writes folders that others may write to: no way out, nothing half-written."""
