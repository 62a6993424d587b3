"""What a client gets when nobody answers, and home servers that share their devices by weight."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Everything stays as it was: the defaults are what held before."""
    with op.batch_alter_table("access_points", schema=None) as batch_op:
        batch_op.add_column(sa.Column("protocol_errors", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("on_timeout", sa.String(length=16), nullable=False, server_default="auto"))
    with op.batch_alter_table("home_servers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("weight", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    """What upgrade made is gone."""
    with op.batch_alter_table("home_servers", schema=None) as batch_op:
        batch_op.drop_column("weight")
    with op.batch_alter_table("access_points", schema=None) as batch_op:
        batch_op.drop_column("on_timeout")
        batch_op.drop_column("protocol_errors")
