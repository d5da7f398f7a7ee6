"""Where the files of a media are, and media by their status."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column and the index."""
    place = sa.Column("place", sa.String(8), nullable=False, server_default="local")
    op.add_column("toril_media", place)
    op.create_index("toril_media_by_status", "toril_media", ["status", "id"])
