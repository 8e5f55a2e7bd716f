"""The registry and the recipe tell the same chain, and what works on a slide knows no stage."""

import ast
import inspect

import pytest

from pathassets.core.stages import ANNOTATIONS, STAGES
from pathassets.engine.stages import published, registry, slide_task, step_group
from pathassets.engine.stages.registry import SLIDE_STAGES, group_steps, stage_of
from tests.engine.stages.chains import DRAWN, TWO_ENCODERS, run_with

QUALITY = "patch_quality: {numbers: {patch_locations: grid}}\n"
IMAGES = {"images", "patches.zarr"}
"""Of a patch set, what its spec asks for."""


def test_there_is_one_for_every_stage_that_is_made_slide_by_slide():
    assert list(SLIDE_STAGES) == [s.name for s in STAGES.values() if s.scope == "slide"]


@pytest.mark.parametrize("name", SLIDE_STAGES)
def test_a_stage_needs_what_the_recipe_makes_it_from(name):
    stage = STAGES[name]
    drawn = (ANNOTATIONS,) if stage.may_name_annotations else ()
    assert SLIDE_STAGES[name].needs == (stage.parent, *drawn)


def test_a_stage_makes_the_files_that_it_says(reopen, register, make_task, slide):
    sets = DRAWN[DRAWN.index("patch_set:") :].replace("inside", "grid")
    made, platform = run_with(reopen, register, make_task, slide, TWO_ENCODERS + sets + QUALITY)
    assert set(made) == set(SLIDE_STAGES)
    for name, step in made.items():
        folder = platform.store.path_of(step.artifact.address)
        found = {path.name for path in folder.iterdir()} - {"artifact.json"} - IMAGES
        assert found == set(SLIDE_STAGES[name].makes)


@pytest.mark.parametrize("module", [slide_task, step_group, published])
def test_what_works_on_a_slide_names_no_stage(module):
    tree = ast.parse(inspect.getsource(module))
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    sources = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not words & set(STAGES)
    assert not sources & {f"{registry.__package__}.{name}" for name in SLIDE_STAGES}
    assert "pathassets.core.stages" not in sources


def test_features_of_the_same_patches_are_made_together_and_all_else_alone(
    reopen, register, make_task, slide
):
    platform = reopen(TWO_ENCODERS)
    task = make_task(platform, register(platform, slide)[0])
    groups = [[step.entry.name for step in steps] for steps in group_steps(task.steps)]
    assert groups == [["otsu"], ["grid"], ["one", "two"], ["fast"], ["mean"], ["peak"]]


def test_a_device_is_needed_by_encoders_and_modules_that_have_a_use_for_one(
    reopen, register, make_task, slide
):
    module = "'tests.engine.stages.test_slide_embedding:double'"
    platform = reopen(TWO_ENCODERS.replace("method: max", f"method: {module}"))
    task = make_task(platform, register(platform, slide)[0])
    needing = [s.entry.name for s in task.steps if stage_of(s).needs_device(s.entry.spec)]
    assert needing == ["two", "peak"]
