"""Roots of other authorities, whom they may speak for, and their revocation lists."""

import sqlalchemy as sa
from alembic import op

from federation.store.tables.base import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What peers with another authority's certificates need."""
    op.create_table(
        "foreign_anchors",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("certificate_pem", sa.Text(), nullable=False),
        sa.Column("intermediates_pem", sa.Text(), nullable=False),
        sa.Column("policy", sa.String(length=8), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_foreign_anchors")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_foreign_anchors_fingerprint")),
    )
    op.create_table(
        "foreign_lists",
        sa.Column("anchor", sa.String(length=63), nullable=False),
        sa.Column("url", sa.String(length=500), nullable=False),
        sa.Column("crl_pem", sa.Text(), nullable=True),
        sa.Column("this_update", UtcDateTime(timezone=True), nullable=True),
        sa.Column("next_update", UtcDateTime(timezone=True), nullable=True),
        sa.Column("fetched_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("tried_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(
            ["anchor"], ["foreign_anchors.name"], name=op.f("fk_foreign_lists_anchor"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("anchor", "url", name=op.f("pk_foreign_lists")),
    )
    op.create_table(
        "foreign_scopes",
        sa.Column("anchor", sa.String(length=63), nullable=False),
        sa.Column("library_id", sa.String(length=63), nullable=False),
        sa.ForeignKeyConstraint(
            ["anchor"], ["foreign_anchors.name"], name=op.f("fk_foreign_scopes_anchor"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["library_id"], ["libraries.id"], name=op.f("fk_foreign_scopes_library_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("anchor", "library_id", name=op.f("pk_foreign_scopes")),
    )


def downgrade() -> None:
    """What upgrade made is gone."""
    op.drop_table("foreign_scopes")
    op.drop_table("foreign_lists")
    op.drop_table("foreign_anchors")
