"""How an older catalog becomes this one; run by alembic when a catalog is opened.

To change a table: change tables/, add versions/NNNN_what.py by hand, and name it in HEAD. A test
holds that the migrations give exactly the tables, on SQLite and on PostgreSQL.
"""

HEAD = "0021"
"""Revision of the tables in tables/; known here so that opening needs no alembic."""
VERSION_TABLE = "pathassets_revision"
"""Not alembic's default: Dagster keeps its own revision under that name in a shared database."""
