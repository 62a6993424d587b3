"""The registry."""

import sqlalchemy as sa
from alembic import op

from federation.store.tables.base import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The registry."""
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("token_id", sa.String(length=16), nullable=False),
        sa.Column("source_address", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=600), nullable=False),
        sa.Column("library_id", sa.String(length=63), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_library_id"), ["library_id"], unique=False)

    op.create_table(
        "federation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("eap_server_name", sa.String(length=253), nullable=False),
        sa.Column("denied_realms", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_federation_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_federation")),
    )
    op.create_table(
        "libraries",
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("operator_name", sa.String(length=253), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("changed_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_libraries")),
    )
    with op.batch_alter_table("libraries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_libraries_revision"), ["revision"], unique=False)

    op.create_table(
        "access_points",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("library_id", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("address", sa.String(length=50), nullable=True),
        sa.Column("certificate", sa.String(length=253), nullable=True),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=True),
        sa.Column("secret_changed_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("guest_vlan", sa.Integer(), nullable=True),
        sa.Column("allow_pap", sa.Boolean(), nullable=False),
        sa.Column("request_cui", sa.Boolean(), nullable=False),
        sa.Column("require_message_authenticator", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["library_id"], ["libraries.id"], name=op.f("fk_access_points_library_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_points")),
        sa.UniqueConstraint("library_id", "name", name=op.f("uq_access_points_library_id")),
    )
    with op.batch_alter_table("access_points", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_access_points_library_id"), ["library_id"], unique=False)

    op.create_table(
        "home_servers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("library_id", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("transport", sa.String(length=8), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=True),
        sa.Column("secret_changed_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("require_message_authenticator", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["library_id"], ["libraries.id"], name=op.f("fk_home_servers_library_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_home_servers")),
        sa.UniqueConstraint("library_id", "name", name=op.f("uq_home_servers_library_id")),
    )
    with op.batch_alter_table("home_servers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_home_servers_library_id"), ["library_id"], unique=False)

    op.create_table(
        "identity_settings",
        sa.Column("library_id", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("mschapv2", sa.Boolean(), nullable=False),
        sa.Column("methods", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["library_id"], ["libraries.id"], name=op.f("fk_identity_settings_library_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("library_id", name=op.f("pk_identity_settings")),
    )
    op.create_table(
        "realms",
        sa.Column("name", sa.String(length=253), nullable=False),
        sa.Column("library_id", sa.String(length=63), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("includes_subrealms", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["library_id"], ["libraries.id"], name=op.f("fk_realms_library_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_realms")),
    )
    with op.batch_alter_table("realms", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_realms_library_id"), ["library_id"], unique=False)


def downgrade() -> None:
    """What upgrade made is gone."""
    with op.batch_alter_table("realms", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_realms_library_id"))

    op.drop_table("realms")
    op.drop_table("identity_settings")
    with op.batch_alter_table("home_servers", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_home_servers_library_id"))

    op.drop_table("home_servers")
    with op.batch_alter_table("access_points", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_access_points_library_id"))

    op.drop_table("access_points")
    with op.batch_alter_table("libraries", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_libraries_revision"))

    op.drop_table("libraries")
    op.drop_table("federation")

    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_library_id"))
        batch_op.drop_index(batch_op.f("ix_audit_at"))

    op.drop_table("audit")
