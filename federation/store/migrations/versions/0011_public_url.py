"""The URL under which the API is reached from outside."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """There is none, as before."""
    with op.batch_alter_table("federation", schema=None) as batch_op:
        batch_op.add_column(sa.Column("public_url", sa.String(length=500), nullable=False, server_default=""))


def downgrade() -> None:
    """What upgrade made is gone."""
    with op.batch_alter_table("federation", schema=None) as batch_op:
        batch_op.drop_column("public_url")
