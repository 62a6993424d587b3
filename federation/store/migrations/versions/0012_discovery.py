"""Whether realms that no library has are looked for in the DNS."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """It is off, as it was before."""
    with op.batch_alter_table("federation", schema=None) as batch_op:
        batch_op.add_column(sa.Column("discovery", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    """What upgrade made is gone."""
    with op.batch_alter_table("federation", schema=None) as batch_op:
        batch_op.drop_column("discovery")
