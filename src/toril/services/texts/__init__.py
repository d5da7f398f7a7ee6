"""Reads the text of documents: PDF, Word, HTML and plain text. Runs nothing that they hold."""
