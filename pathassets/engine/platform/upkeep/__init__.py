"""Keeping a home right: found and mended, read again, cleared, forgotten, backed up.

doctor     catalog + store + slides ─▶ what contradicts what     (Dagster: defs/upkeep.py)
scrub      the bytes that nobody read for longest ─▶ hashed again
garbage    what no recipe, dataset or person needs ─▶ removed
forget     a slide whose patient withdraws consent ─▶ taken out, and not taken in again
backup     catalog, statements, recipe ─▶ one file ─▶ a home again
"""
