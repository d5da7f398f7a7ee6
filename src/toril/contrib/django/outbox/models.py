"""The table of an outbox as Django knows it. The same as in `toril/outbox/table.py`."""

from __future__ import annotations

from django.db import models

from toril.outbox.rows import TABLE


class OutboxRow(models.Model):  # type: ignore[misc] # Django has no types
    """A job that has committed, or will, and is not in the store yet."""

    position = models.BigAutoField(primary_key=True)
    row_id = models.TextField(unique=True)
    queue = models.TextField()
    name = models.TextField()
    data = models.TextField()
    options = models.TextField()
    created_ms = models.BigIntegerField()
    refused_ms = models.BigIntegerField(null=True)
    reason = models.TextField(null=True)

    class Meta:
        """How the table is made."""

        db_table = TABLE
        indexes = (
            models.Index(
                fields=["queue", "position"],
                name=f"{TABLE}_next",
                condition=models.Q(refused_ms__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} for {self.queue}"
