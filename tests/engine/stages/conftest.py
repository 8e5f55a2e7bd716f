"""A slide, and what all stages make of it."""

import pytest

from pathassets.engine.stages.slide_task import run_slide


@pytest.fixture
def slide(make_slide):
    return make_slide()


@pytest.fixture
def made(platform, slide, register, make_task):
    """Artifact and folder of each stage of the slide."""
    outcome = run_slide(make_task(platform, register(platform, slide)[0]))
    return {
        step.step.address.stage: (step.artifact, platform.store.path_of(step.step.address))
        for step in outcome.steps
    }
