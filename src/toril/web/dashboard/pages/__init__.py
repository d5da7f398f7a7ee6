"""The pages: one module each, found by themselves."""
