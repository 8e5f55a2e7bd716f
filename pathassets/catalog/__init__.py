"""The SQL catalog: what exists, where it came from, and what failed.

Here belong the tables, their migrations and the queries; SQLAlchemy and alembic are imported
nowhere else. Frozen records go in and come out, never a row or a connection. What a slide, a spec
or an artifact means is decided below (core) and above (engine, defs); pixels and files are the
adapters'.

    catalog.py      class Catalog: every question and every entry; slides and their files
    human_inputs.py what people state
    artifacts.py    what was made, and what was tried
    releases/       datasets: releases, placements, findings
    looks.py        when artifacts were last seen whole, and what is wrong with them
    standing.py     what recipes want of each slide, by its state
    states.py       how a state follows, in SQL
    part.py         what these parts share
    records.py      what goes in and out
    rows.py         record <-> row
    human_inputs.py resolutions and drawings, as people state them
    cohorts/        what is said of slides and patients, and every change of it
    history.py      a change -> its row
    ledgers.py      bad tiles, encoders
    views.py        the views for people
    query.py        a SELECT of a person, which can change nothing
    tables/         the tables
    connect.py      URL -> engine on an up-to-date catalog; the doors for reading and writing
    urls.py         what of a URL may be shown
    dialects.py     what SQLite and PostgreSQL do differently
    migrations/     how an older catalog becomes this one
"""
