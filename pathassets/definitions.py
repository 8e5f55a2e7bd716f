"""What `dagster dev` loads: the recipe in force, as Dagster's definitions."""

from pathassets.defs.build import build_definitions
from pathassets.engine.platform.recipe import open_recipe
from pathassets.engine.settings import read_settings

defs = build_definitions(open_recipe(read_settings()))
