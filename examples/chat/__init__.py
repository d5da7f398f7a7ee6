"""A chat whose pushes, files and mails are jobs. Its app is in `worker.py`."""
