"""The table of suppressed addresses."""

from __future__ import annotations

from toril.core.extras import missing_extra

try:
    import sqlalchemy as sa
except ImportError as error:
    raise missing_extra("suppressed addresses in a database need SQLAlchemy", "mail") from error

from toril.services.records.families import TableFamily

_METADATA = sa.MetaData()
TABLE = sa.Table(
    "toril_mail_suppressions",
    _METADATA,
    sa.Column("address", sa.String(320), primary_key=True),
    sa.Column("reason", sa.String(16), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
)
MAIL = TableFamily("mail", _METADATA, "toril.services.mail.migrations")
"""The family `mail`."""
