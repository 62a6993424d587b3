"""Access points that take changes of running sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An access point may have a place for CoA and Disconnect; none has one yet."""
    with op.batch_alter_table("access_points", schema=None) as batch_op:
        batch_op.add_column(sa.Column("coa_port", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("coa_host", sa.String(length=253), nullable=True))
        batch_op.add_column(
            sa.Column("require_event_timestamp", sa.Boolean(), nullable=False, server_default=sa.true())
        )
    with op.batch_alter_table("access_points", schema=None) as batch_op:
        batch_op.alter_column("require_event_timestamp", server_default=None)


def downgrade() -> None:
    """Sessions last as long as they last."""
    with op.batch_alter_table("access_points", schema=None) as batch_op:
        batch_op.drop_column("require_event_timestamp")
        batch_op.drop_column("coa_host")
        batch_op.drop_column("coa_port")
