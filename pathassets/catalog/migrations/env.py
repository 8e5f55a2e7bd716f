"""Alembic's way in: run the migrations in the transaction of whoever opens the catalog.

Alembic runs this file under the name `env_py`; imported under its own, it does nothing.
"""

from __future__ import annotations

from alembic import context

from pathassets.catalog.migrations import VERSION_TABLE
from pathassets.catalog.tables import metadata


def run() -> None:
    """Bring the connection that `connect.py` passes to the revision that it asks for."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        version_table=VERSION_TABLE,
    )
    with context.begin_transaction():
        context.run_migrations()


if __name__ == "env_py":
    run()
