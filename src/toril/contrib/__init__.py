"""Toril in other people's frameworks, one a folder: thin, and each with its page."""
