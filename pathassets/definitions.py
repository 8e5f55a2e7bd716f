"""What `dagster dev` loads: the recipe in force, as Dagster's definitions."""

from pathassets.defs.build import build_definitions
from pathassets.engine.platform.recipe import open_recipe
from pathassets.engine.settings import read_settings
from pathassets.report.cohort_page.files import write_pages

defs = build_definitions(open_recipe(read_settings()), write_page=write_pages)
