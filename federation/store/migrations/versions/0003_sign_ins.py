"""What happened lately."""

import sqlalchemy as sa
from alembic import op

from federation.store.tables.base import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Sign-ins."""
    op.create_table(
        "sign_ins",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("client", sa.String(length=130), nullable=False),
        sa.Column("visited", sa.String(length=63), nullable=False),
        sa.Column("realm", sa.String(length=253), nullable=False),
        sa.Column("home", sa.String(length=63), nullable=False),
        sa.Column("home_server", sa.String(length=130), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("station", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_ins")),
    )
    op.create_index(op.f("ix_sign_ins_at"), "sign_ins", ["at"], unique=False)
    op.create_index("ix_sign_ins_visited", "sign_ins", ["visited", "id"], unique=False)
    op.create_index("ix_sign_ins_home", "sign_ins", ["home", "id"], unique=False)


def downgrade() -> None:
    """What upgrade made is gone."""
    op.drop_table("sign_ins")
