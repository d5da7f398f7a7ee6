"""Makes documents: PDF of a Typst source and data."""
