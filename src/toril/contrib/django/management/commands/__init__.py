"""`manage.py toril_worker` and `manage.py toril`."""
