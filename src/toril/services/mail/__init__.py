"""Sends mail: by SMTP, into a folder, or into memory."""
