"""Features -> slide embedding: one vector for the whole slide."""

import numpy as np
import pytest

from pathassets.engine.stages.slide_task import run_slide
from tests.engine.stages.chains import (
    ALL_MADE,
    TWO_ENCODERS,
    by_name,
    group_of,
    states,
)


@pytest.fixture
def task(reopen, register, make_task, slide):
    platform = reopen(TWO_ENCODERS)
    return make_task(platform, register(platform, slide)[0])


def test_an_embedding_is_made_of_all_rows(task):
    steps = by_name(run_slide(task))
    features = group_of(task, steps["one"])["features"][:]
    for name, wanted in (
        ("mean", features.mean(axis=0, dtype=float)),
        ("peak", features.max(axis=0)),
    ):
        found = group_of(task, steps[name])
        np.testing.assert_allclose(found["embedding"][:], wanted, rtol=1e-6)
        facts = steps[name].artifact.facts
        assert facts["n_patches"] == len(features)
        assert facts["norm"] == pytest.approx(np.linalg.norm(wanted))
        assert found.attrs["slide_id"] == task.slide_id


def double():
    from torch import nn  # noqa: PLC0415 - seconds that only one test pays

    class Double(nn.Module):
        def forward(self, bag):
            return 2 * bag.mean(dim=0)

    return Double()


def nothing():
    from torch import nn  # noqa: PLC0415

    class Nothing(nn.Module):
        def forward(self, bag):
            return bag[0] / 0

    return Nothing()


def test_a_module_of_one_s_own_makes_the_embedding(reopen, register, make_task, slide):
    here = "tests.engine.stages.test_slide_embedding"
    recipe = TWO_ENCODERS.replace("method: max", f"method: '{here}:double'")
    platform = reopen(recipe + f"  bad: {{features: one, method: '{here}:nothing'}}\n")
    task = make_task(platform, register(platform, slide)[0])
    steps = by_name(run_slide(task))
    mean, double = (group_of(task, steps[name])["embedding"][:] for name in ("mean", "peak"))
    np.testing.assert_allclose(double, 2 * mean, rtol=1e-4)
    assert steps["bad"].reason == "features_not_finite"


def test_bare_glass_has_an_embedding_of_no_number(reopen, register, make_task, make_slide):
    platform = reopen(TWO_ENCODERS)
    task = make_task(platform, register(platform, make_slide(blank=True))[0])
    outcome = run_slide(task)
    assert states(outcome) == ALL_MADE
    steps = by_name(outcome)
    assert group_of(task, steps["one"])["features"].shape == (0, 25)
    assert group_of(task, steps["mean"])["embedding"].shape == (0,)
    assert steps["mean"].artifact.facts["norm"] == 0.0
    assert steps["one"].preview.startswith(b"\xff\xd8")
