"""Decodes what people upload and encodes what may be shown. See `port.py`."""
