"""Finds jobs by a line of text: what may be asked, what it costs, and the looking itself."""
