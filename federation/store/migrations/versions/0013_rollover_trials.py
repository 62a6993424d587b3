"""What peers made of the new chain when it was tried on them before the switch."""

import sqlalchemy as sa
from alembic import op

from federation.store.tables.base import UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing has been tried yet."""
    op.create_table(
        "rollover_trials",
        sa.Column("rollover_id", sa.Integer(), nullable=False),
        sa.Column("peer", sa.String(length=200), nullable=False),
        sa.Column("verdict", sa.String(length=10), nullable=False),
        sa.Column("detail", sa.String(length=200), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("tried_at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["rollover_id"],
            ["rollovers.id"],
            name=op.f("fk_rollover_trials_rollover_id_rollovers"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("rollover_id", "peer", name=op.f("pk_rollover_trials")),
    )


def downgrade() -> None:
    """What upgrade made is gone."""
    op.drop_table("rollover_trials")
