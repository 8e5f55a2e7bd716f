"""pathassets: whole-slide images to patch features one can train on, tracked by Dagster.

    scan ─▶ slide ─▶ tissue mask ─▶ patch locations ─▶ features ─▶ dataset

The house, each floor importing only those below it:

    definitions   what `dagster dev` loads         cli   the `pathassets` command
    defs          thin Dagster: assets, sensors, schedules, jobs
    engine        how work is run: settings, pools, stations of a slide, batches
    catalog       what exists and where it came from, in SQL
    adapters      one door for each foreign package
    core          the science, pure
    errors        what can go wrong
"""

__version__ = "0.1.0"
