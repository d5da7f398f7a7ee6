"""Keeps files as objects under keys: on S3 and its kin, GCS, Azure, in a folder, in memory."""
