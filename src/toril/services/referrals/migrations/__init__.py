"""The versions of the tables of referrals, for Alembic."""
