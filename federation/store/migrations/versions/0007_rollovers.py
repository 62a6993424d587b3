"""Generations of authorities, roll-overs between them, and what peers were last seen with."""

import sqlalchemy as sa
from alembic import op

from federation.store.tables.base import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_KEY = ["purpose", "level"]


def upgrade() -> None:
    """What a second root beside the first one needs; the authorities that are there are the first generation."""
    with op.batch_alter_table("authorities", schema=None) as batch_op:
        batch_op.add_column(sa.Column("generation", sa.Integer(), nullable=False, server_default="1"))
        batch_op.add_column(sa.Column("standing", sa.String(length=10), nullable=False, server_default="current"))
        batch_op.alter_column("sealed_key", existing_type=sa.LargeBinary(), nullable=True)
        batch_op.drop_constraint(op.f("pk_authorities"), type_="primary")
        batch_op.create_primary_key(op.f("pk_authorities"), [*_KEY, "generation"])
    with op.batch_alter_table("certificates", schema=None) as batch_op:
        batch_op.add_column(sa.Column("generation", sa.Integer(), nullable=False, server_default="1"))
        batch_op.add_column(sa.Column("anchors_generation", sa.Integer(), nullable=True))
    op.create_table(
        "rollovers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("old_generation", sa.Integer(), nullable=False),
        sa.Column("new_generation", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("started_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("changed_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("published_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("switched_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("confirmations", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollovers")),
    )
    with op.batch_alter_table("rollovers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rollovers_purpose"), ["purpose"], unique=False)
    op.create_table(
        "peer_sightings",
        sa.Column("peer", sa.String(length=200), nullable=False),
        sa.Column("end", sa.String(length=8), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("anchor", sa.String(length=64), nullable=False),
        sa.Column("own_anchor", sa.String(length=64), nullable=False),
        sa.Column("not_after", UtcDateTime(timezone=True), nullable=False),
        sa.Column("seen_at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("peer", "end", name=op.f("pk_peer_sightings")),
    )


def downgrade() -> None:
    """What upgrade made is gone, later generations with it."""
    op.drop_table("peer_sightings")
    with op.batch_alter_table("rollovers", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_rollovers_purpose"))
    op.drop_table("rollovers")
    with op.batch_alter_table("certificates", schema=None) as batch_op:
        batch_op.drop_column("anchors_generation")
        batch_op.drop_column("generation")
    op.execute("DELETE FROM authorities WHERE standing != 'current' OR sealed_key IS NULL")
    with op.batch_alter_table("authorities", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("pk_authorities"), type_="primary")
        batch_op.create_primary_key(op.f("pk_authorities"), _KEY)
        batch_op.alter_column("sealed_key", existing_type=sa.LargeBinary(), nullable=False)
        batch_op.drop_column("standing")
        batch_op.drop_column("generation")
