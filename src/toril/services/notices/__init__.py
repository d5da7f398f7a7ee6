"""Notices that an application shows to its users: rows, once each, read by user."""
