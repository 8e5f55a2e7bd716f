"""The SQL catalog: what exists, where it came from, and what failed.

Here belong the tables, their migrations and the queries; SQLAlchemy and alembic are imported
nowhere else. Frozen records go in and come out, never a row or a connection. What a slide, a spec
or an artifact means is decided below (core) and above (engine, defs); pixels and files are the
adapters'.

    catalog.py      class Catalog: every question and every entry; slides and their files
    human_inputs.py resolutions and annotations, as people state them
    cohorts/        what is said of slides and patients; history.py has every change of it
    ledgers.py      bad tiles, encoders
    artifacts.py    what was made, and what was tried; kin.py: from what
    external.py     features of other tools
    standing/       what recipes want of each slide, kept, and what looks at the store found
    states.py       how a state follows, in SQL
    selections/     selections that have a name, and conditions in SQL
    releases/       datasets: releases, placements, findings
    upkeep/         what is held against the store, cleared, forgotten and dumped
    part.py         what these parts share
    records.py      what goes in and out
    rows.py         record <-> row
    tables/         the tables
    database/       URL -> engine on an up-to-date catalog; SQLite and PostgreSQL; the views for
                    people, and their SELECTs, which can change nothing
    migrations/     how an older catalog becomes this one
"""
