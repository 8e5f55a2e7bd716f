"""Features whose length is known once the encoder has seen a patch."""

from pathlib import Path

import zarr

from pathassets.engine.stages.slide_task import run_slide

RECIPE = """\
tissue_mask:
  otsu: {mpp: 8.0}
patch_locations:
  grid: {tissue_mask: otsu, patch_px: 16, mpp: 0.5}
features:
  net: {patch_locations: grid, encoder: {name: FACTORY, version: "1"}}
""".replace("FACTORY", "tests.engine.encoder_factories:make_means")


def test_a_user_s_module_for_patches_of_any_size_makes_features(
    reopen, register, make_task, make_slide
):
    platform = reopen(RECIPE)
    task = make_task(platform, register(platform, make_slide())[0])
    step = next(step for step in run_slide(task).steps if step.step.entry.name == "net")
    assert step.state == "made", step
    folder = Path(task.store_root, str(step.step.address))
    group = zarr.open_group(folder / "features.zarr", mode="r")
    assert group["features"].shape[1:] == (4,)
    assert step.artifact.facts["dim"] == 4
    assert step.artifact.facts["n_patches"] == group["features"].shape[0]
