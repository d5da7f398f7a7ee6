"""Mails a second, over one connection and over several, to a server that keeps nothing."""
