"""The SQL catalog: what exists, where it came from, and what failed.

Here belong the tables, their migrations and the queries; SQLAlchemy and alembic are imported
nowhere else. Frozen records go in and come out, never a row or a connection. What a slide, a spec
or an artifact means is decided below (core) and above (engine, defs); pixels and files are the
adapters'.

    catalog.py      class Catalog: every question and every entry
    records.py      what goes in and out
    rows.py         record <-> row
    tables/         the tables
    connect.py      URL -> engine on an up-to-date catalog; the doors for reading and writing
    urls.py         what of a URL may be shown
    dialects.py     what SQLite and PostgreSQL do differently
    upkeep/         what is asked of it and written to keep it right; dumps
    migrations/     how an older catalog becomes this one
"""
