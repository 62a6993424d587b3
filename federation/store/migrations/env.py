"""Alembic's entry: the connection is the store's, handed in; there is no ini file and no offline mode."""

from alembic import context

from federation.store.tables.base import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
