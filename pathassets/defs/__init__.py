"""Thin Dagster: assets, checks, resources, partitions, sensors, schedules, jobs.

What belongs here: names, wiring, and the words Dagster shows. What does not: arrays, files, SQL.
No module here postpones its annotations: Dagster reads them.
"""

import warnings

import dagster as dg

# Checks of single partitions are in preview: the version is pinned, the tests hold the behaviour.
warnings.filterwarnings(
    "ignore", "Specifying a partitions_def on an AssetCheckSpec", dg.PreviewWarning
)
# Dagster passes it itself, for every sensor.
warnings.filterwarnings("ignore", "Parameter `owners` of initializer", dg.BetaWarning)
