"""What `dagster dev` loads: the recipe in force, as Dagster's definitions."""

from pathassets.adapters.yaml import load_recipe
from pathassets.defs.build import build_definitions
from pathassets.engine.settings import read_settings

defs = build_definitions(load_recipe(read_settings().recipe))
