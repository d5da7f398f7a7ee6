"""The table of an outbox, made by `manage.py migrate`, for `toril.contrib.django.in_transaction`.

An app of Django of its own, so that only a project that uses it has the table: add
`toril.contrib.django.outbox` to INSTALLED_APPS.
"""
