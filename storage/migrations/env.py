"""Run by Alembic, within the transaction that :func:`storage.schema.migrate` has begun."""

from alembic import context

from storage.models import Base
from storage.schema import VERSION_TABLE, is_ours

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    include_name=is_ours,
    render_as_batch=True,  # SQLite cannot alter a table, only copy it
)
context.run_migrations()
