import numpy as np
import pytest
from pydantic import ValidationError

from pathassets.core.features.encoder import EncoderRequest
from pathassets.core.features.features import (
    FeatureSpec,
    files_of,
    recipe_value,
    require_finite,
    with_files,
)
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.read_plan import ReadSpec
from pathassets.errors import EncoderError, FeaturesNotFinite


def along_a_row(n: int) -> PatchLocations:
    return PatchLocations(
        x_px0=np.arange(n, dtype=np.int64), y_px0=np.zeros(n, np.int64),
        tissue_share=np.ones(n, np.float32), side_px0=8, patch_px=8, mpp=0.5,
    )  # fmt: skip


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(5,), (5, 2, 3)])
def test_features_that_are_not_finite_are_refused_with_patch_and_point(bad, shape) -> None:
    rows = np.zeros((4, *shape), np.float32)
    indices = np.array([3, 20, 7, 9])
    require_finite(rows, indices, along_a_row(30), "means")
    rows[1].flat[-1] = bad
    with pytest.raises(FeaturesNotFinite) as caught:
        require_finite(rows, indices, along_a_row(30), "means")
    assert isinstance(caught.value, EncoderError)
    assert caught.value.message == (
        "encoder means: features of patch 20 at level-0 point (20, 0) are not finite"
    )
    assert caught.value.remedy


def test_no_rows_are_finite() -> None:
    require_finite(np.zeros((0, 5), np.float32), np.zeros(0, int), along_a_row(0), "means")


def test_a_name_is_a_request_and_nothing_but_a_name_or_a_request_is() -> None:
    assert FeatureSpec(encoder="resnet18").encoder == EncoderRequest(name="resnet18")
    for other in (3, None, ["resnet18"], {"name": "resnet18"}):
        with pytest.raises(ValidationError):
            FeatureSpec(encoder=other)


def test_encoders_that_read_alike_have_one_reading() -> None:
    one = FeatureSpec(encoder="resnet18", bad_tiles="skip")
    assert one.reading == FeatureSpec(encoder="colour_stats", bad_tiles="skip").reading
    assert type(one.reading) is ReadSpec
    assert one.reading != FeatureSpec(encoder="resnet18", fast=True, bad_tiles="skip").reading


@pytest.mark.parametrize(
    ("request_", "files", "said"),
    [
        (EncoderRequest(name="a"), {}, "a"),
        (EncoderRequest(name="a", weights="w.pt"), {"weights": "w.pt"}, "a"),
        (EncoderRequest(name="m/x.pt2"), {"name": "m/x.pt2"}, "x.pt2"),
        (EncoderRequest(name="transformers:m/x"), {"name": "m/x"}, "transformers:x"),
        (
            EncoderRequest(name="timm:vit", kwargs={"b": 1}),
            {},
            {"name": "timm:vit", "kwargs": {"b": 1}},
        ),
        (EncoderRequest(name="a.b:c", version="2"), {}, {"name": "a.b:c", "version": "2"}),
    ],
)
def test_a_request_is_told_without_paths_and_defaults(request_, files, said) -> None:
    assert files_of(request_) == files
    assert recipe_value(request_) == said
    moved = with_files(request_, {field: f"/far/{path}" for field, path in files.items()})
    assert recipe_value(moved) == said
    assert files_of(moved) == {field: f"/far/{path}" for field, path in files.items()}
