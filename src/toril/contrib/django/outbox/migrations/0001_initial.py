"""Makes the table of an outbox."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):  # type: ignore[misc] # Django has no types
    """Makes the table."""

    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            name="OutboxRow",
            fields=[
                ("position", models.BigAutoField(primary_key=True, serialize=False)),
                ("row_id", models.TextField(unique=True)),
                ("queue", models.TextField()),
                ("name", models.TextField()),
                ("data", models.TextField()),
                ("options", models.TextField()),
                ("created_ms", models.BigIntegerField()),
                ("refused_ms", models.BigIntegerField(null=True)),
                ("reason", models.TextField(null=True)),
            ],
            options={
                "db_table": "toril_outbox",
                "indexes": [
                    models.Index(
                        condition=models.Q(("refused_ms__isnull", True)),
                        fields=["queue", "position"],
                        name="toril_outbox_next",
                    )
                ],
            },
        ),
    )
