"""Home servers that want the accounting of their patrons."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A home server may have a port for accounting; none has one yet."""
    with op.batch_alter_table("home_servers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("accounting_port", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Accounting stays where patrons are."""
    with op.batch_alter_table("home_servers", schema=None) as batch_op:
        batch_op.drop_column("accounting_port")
