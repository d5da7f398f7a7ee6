"""Makes images of images, and remembers which media exist. See `port.py` and `records.py`."""
