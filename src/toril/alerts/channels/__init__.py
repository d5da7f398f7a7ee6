"""Ways to tell people: one a module."""
