"""DeepFeatureExtractor from end to end: what is stored is what OpenSlide and the encoder give."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pathassets import DeepFeatureExtractor, open_slide, tissue_mask_of
from pathassets.errors import EncoderError, SpecError
from tests.engine.probe_encoder import Probe, read_again
from tests.formula_tiff import write_formula_tiff

CMU = "CMU-1-Small-Region.svs"
HALF = [{"units": "mpp", "resolution": 0.5}]
ALL = {"patch_mode": False, "auto_get_mask": False}
NAMES = {"zarr.json", "features", "coordinates", "coordinates_px0"}


def asked(units: str, resolution: float, patch=224, **more) -> dict:
    resolutions = [{"units": units, "resolution": resolution}]
    return {**ALL, "input_resolutions": resolutions, "patch_input_shape": patch, **more}


def mask_of(shape: tuple[int, int], share: float = 0.2) -> np.ndarray:
    return np.random.default_rng(1).random(shape) < share


@pytest.fixture(scope="module")
def tiff(tmp_path_factory) -> Path:
    return write_formula_tiff(tmp_path_factory.mktemp("slides") / "formula.tiff")


def check_again(slide: Path, output: Path) -> int:
    """Read all boxes of an output by OpenSlide, encode them again, and compare."""
    group = zarr.open_group(output, mode="r")
    told = dict(group.attrs)
    n = group["features"].shape[0]
    assert group["features"].dtype == np.float32
    assert group["coordinates"].shape == group["coordinates_px0"].shape == (n, 4)
    if n:
        rows = Probe().encode(read_again(slide, group, told))
        np.testing.assert_allclose(group["features"][:], rows, atol=1e-4)
    return n


CASES = [
    asked("mpp", 0.5),
    asked("mpp", 1.0),
    asked("mpp", 0.25, 448),  # finer than the slide
    asked("mpp", 0.73, 200, stride_shape=(150, 170)),  # between the levels, overlapping
    asked("mpp", 2.0, 100, stride_shape=130),  # with gaps
    asked("mpp", 3.1, 97),
    asked("power", 5, 128, power=20.0),
    asked("power", 13, (90, 200), power=20.0),
    asked("baseline", 0.3, 99),
    asked("baseline", 1.0, (300, 128), stride_shape=(300, 100)),
    asked("level", 0, 256),
    asked("level", 1, (60, 100)),
    asked("level", 2, 31, stride_shape=17),
    asked("mpp", 0.5, 224, within_bound=True),
    asked("mpp", 0.5, 2100),  # larger than the slide
    asked("mpp", 0.5, 200, masks=[mask_of((5, 5))]),  # coarser than the patches
    asked("mpp", 1.0, (50, 90), masks=[mask_of((300, 411), 0.001)]),  # finer, and of another aspect
    asked("level", 1, 64, masks=[mask_of((96, 128))], min_mask_ratio=0.2),
    asked("mpp", 0.5, 100, stride_shape=50, masks=[mask_of((3, 3))], within_bound=True),
]


@pytest.mark.parametrize("case", CASES)
def test_every_stored_box_read_by_openslide_gives_the_stored_features(tmp_path, tiff, case):
    found = DeepFeatureExtractor(Probe()).run([tiff], save_dir=tmp_path, **case)
    assert found == {tiff: tmp_path / "formula.zarr"}
    n = check_again(tiff, found[tiff])
    assert n > 0
    group = zarr.open_group(found[tiff], mode="r")
    if "masks" in case:
        every = DeepFeatureExtractor(Probe()).run([tiff], **case | {"masks": None})[tiff]
        assert n < len(every["features"])
        assert set(map(tuple, group["coordinates"][:])) < set(map(tuple, every["coordinates"]))


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.tuples(st.sampled_from(["mpp", "power", "baseline"]), st.floats(0.3, 12.0)),
    st.tuples(st.integers(20, 700), st.integers(20, 700)),
    st.tuples(st.integers(250, 900), st.integers(250, 900)),
    st.tuples(st.booleans(), st.integers(0, 9)),
)
def test_whatever_is_asked_for_is_what_openslide_reads(tiff, at, sides, steps, more):
    units, downsample = at
    resolution = {"mpp": 0.5 * downsample, "power": 20 / downsample, "baseline": 1 / downsample}
    shape = tuple(max(1, round(side / downsample)) for side in sides)
    case = asked(
        units, resolution[units], shape, power=20.0, within_bound=more[0],
        stride_shape=tuple(max(1, round(step / downsample)) for step in steps),
        masks=[mask_of((more[1], 29), 0.4)] if more[1] else None,
    )  # fmt: skip
    found = DeepFeatureExtractor(Probe(rows=5)).run([tiff], **case)[tiff]
    if len(found["features"]):
        rows = Probe().encode(read_again(tiff, found, found["attributes"]))
        np.testing.assert_allclose(found["features"], rows, atol=1e-4)


CMU_CASES = [
    (asked("mpp", 0.5), 140),
    (asked("mpp", 1.0), 35),
    (asked("mpp", 1.0, stride_shape=112), 140),
    (asked("mpp", 0.25), 540),
    (asked("power", 10), 35),
    (asked("level", 0), 140),
    (asked("baseline", 0.5, (224, 112)), 70),
]


@pytest.mark.parametrize(("case", "n"), CMU_CASES)
def test_a_real_slide_has_the_patches_that_users_know_and_their_features(tmp_path, shared, case, n):
    slide = shared / "slides" / CMU
    found = DeepFeatureExtractor(Probe()).run([slide], save_dir=tmp_path, **case)
    assert check_again(slide, found[slide]) == n


def test_a_real_slides_tissue_is_found_where_no_mask_is_given(tmp_path, shared):
    slide = shared / "slides" / CMU
    case = asked("mpp", 1.0, 64, stride_shape=32)
    every = DeepFeatureExtractor(Probe()).run([slide], **case)[slide]
    del case["auto_get_mask"]
    found = DeepFeatureExtractor(Probe()).run([slide], save_dir=tmp_path, **case)
    n = check_again(slide, found[slide])
    assert 0 < n < len(every["features"])
    with open_slide(slide) as opened:
        mask = tissue_mask_of(opened)
    given = DeepFeatureExtractor(Probe()).run([slide], masks=[mask], **case)[slide]
    assert (zarr.open_group(found[slide])["coordinates"][:] == given["coordinates"]).all()


# What the behaviour file numbers, the other way round.


torch = pytest.importorskip("torch")
KINDS = {
    "tensor": lambda x: x.mean((2, 3)),
    "tuple": lambda x: (x.mean((2, 3)), None),
    "list": lambda x: [x.mean((2, 3))],
    "dict": lambda x: {"features": x.mean((2, 3))},
    "map": lambda x: x,
    "tokens": lambda x: torch.stack([x.mean((2, 3)), x.amax((2, 3))], 1),
}


class Model(torch.nn.Module):
    """Mean colour, in one of the forms that models return."""

    def __init__(self, kind: str = "tensor", gain: float = 1.0) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(gain))
        self.kind = kind

    def forward(self, x):
        return KINDS[self.kind](x * self.gain)


def Maps() -> Model:  # noqa: N802 - a factory
    return Model("map")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 8, 11])
def test_1_features_of_patches_have_one_row_each_whatever_a_model_returns(kind, n):
    patches = np.random.default_rng(n).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    found = DeepFeatureExtractor(Model(kind), batch_size=8).run(patches)["features"]
    np.testing.assert_allclose(found, patches.mean((1, 2)) / 255, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_2_features_of_slides_have_one_row_each_whatever_a_model_returns(tmp_path, tiff, kind):
    extractor = DeepFeatureExtractor(Model(kind))
    found = extractor.run([tiff], save_dir=tmp_path, **asked("mpp", 1.0))
    group = zarr.open_group(found[tiff], mode="r")
    wanted = read_again(tiff, group, dict(group.attrs)).mean((1, 2)) / 255
    assert group["features"].shape == (group["coordinates"].shape[0], 3)
    np.testing.assert_allclose(group["features"][:], wanted, atol=1e-4)


def test_2_maps_that_are_kept_whole_have_the_shape_of_each_runs_patches(tmp_path, tiff):
    from pathassets.core.features.encoder import EncoderRequest  # noqa: PLC0415

    request = EncoderRequest(name="tests.test_deep_features:Maps", pooling="none")
    extractor = DeepFeatureExtractor(request)
    for side in (224, 112):
        case = asked("mpp", 2.0, side, save_dir=tmp_path / str(side))
        group = zarr.open_group(extractor.run([tiff], **case)[tiff], mode="r")
        n = group["coordinates"].shape[0]
        assert group["features"].shape == (n, 3, side, side)
        wanted = read_again(tiff, group, dict(group.attrs)).transpose(0, 3, 1, 2) / 255
        np.testing.assert_allclose(group["features"][:], wanted, atol=1e-4)


@pytest.mark.parametrize("is_same_content", [True, False])
def test_3_two_slides_of_one_stem_keep_two_outputs(tmp_path, tiff, is_same_content):
    slides = [tmp_path / folder / "x.tiff" for folder in "ab"]
    for slide in slides:
        slide.parent.mkdir()
        shutil.copy(tiff, slide)
    if not is_same_content:
        write_formula_tiff(slides[1], mpp=0.25)
    case = asked("mpp", 0.5, save_dir=tmp_path / "out")
    found = DeepFeatureExtractor(Probe()).run(slides, **case)
    assert len(set(found.values())) == 2
    for slide in slides:
        assert check_again(slide, found[slide]) == (
            70 if is_same_content or slide == slides[0] else 20
        )
    # Nor does it matter in which order they come, or whether the other is there.
    again = DeepFeatureExtractor(Probe(), verbose=False)
    if not is_same_content:
        assert again.run(slides[::-1], **case) == found
        assert again.run(slides[1:], **case) == {slides[1]: found[slides[1]]}
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_4_nothing_of_one_run_is_left_for_the_next(tiff):
    extractor = DeepFeatureExtractor(Probe())
    plain = extractor.run([tiff], **asked("mpp", 1.0))[tiff]
    config = namedtuple("Config", "input_resolutions patch_input_shape stride_shape")  # noqa: PYI024
    extractor.run(
        [tiff], patch_mode=False, ioconfig=config(HALF, 512, 300), masks=[mask_of((9, 9))],
        min_mask_ratio=0.3, within_bound=True, labels=["a"], return_labels=True, batch_size=3,
    )  # fmt: skip
    again = extractor.run([tiff], **asked("mpp", 1.0))[tiff]
    assert again["attributes"] == plain["attributes"]
    for name in ("features", "coordinates", "coordinates_px0"):
        assert (again[name] == plain[name]).all()
    with pytest.raises(SpecError, match="nobody says it"):
        extractor.run([tiff], **ALL)


def test_5_weights_that_are_given_are_used_and_must_be_there(tmp_path):
    patches = np.full((2, 16, 16, 3), 100, np.uint8)
    torch.save(Model(gain=3.0).state_dict(), tmp_path / "w.pt")
    found = DeepFeatureExtractor(Model(), weights=tmp_path / "w.pt").run(patches)
    np.testing.assert_allclose(found["features"], 300 / 255, rtol=1e-5)
    for model in (Model(), "uni", "tests.test_deep_features:Model"):
        with pytest.raises(EncoderError, match=r"missing\.pt"):
            DeepFeatureExtractor(model, weights=tmp_path / "missing.pt")
    with pytest.raises(SpecError, match="resnet18: its weights cannot be chosen"):
        DeepFeatureExtractor("resnet18", weights=tmp_path / "w.pt")


def test_5_the_same_name_gives_the_same_features():
    patches = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    rows = [DeepFeatureExtractor("resnet18").run(patches)["features"] for _ in range(2)]
    assert (rows[0] == rows[1]).all()
    assert rows[0].shape == (3, 512)


def test_6_what_an_encoder_declares_is_done_to_the_pixels(tmp_path):
    from pathassets.core.features.encoder import EncoderRequest  # noqa: PLC0415
    from pathassets.core.features.preprocessing import Preprocessing  # noqa: PLC0415

    how = Preprocessing(mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    request = EncoderRequest(name="tests.test_deep_features:Model", preprocessing=how)
    patches = np.full((2, 16, 16, 3), 255, np.uint8)
    extractor = DeepFeatureExtractor(request)
    np.testing.assert_allclose(extractor.run(patches)["features"], [[1, 3, 0.5]] * 2, rtol=1e-5)
    path = extractor.run(patches, save_dir=tmp_path)
    told = zarr.open_group(path, mode="r").attrs["preprocessing"]
    assert told["mean"] == [0.5, 0.25, 0.0]


def test_7_a_level_is_a_resolution(tiff):
    found = DeepFeatureExtractor(Probe()).run([tiff], **asked("level", 1, 64))[tiff]
    assert len(found["features"]) == 8 * 6
    assert (found["coordinates"] * 4 == found["coordinates_px0"]).all()


def test_8_a_slide_that_fails_stops_no_other_and_a_second_run_does_only_what_is_missing(
    tmp_path, tiff
):
    slides = [tmp_path / "a.tiff", tmp_path / "missing.tiff", tmp_path / "b.tiff"]
    shutil.copy(tiff, slides[0])
    write_formula_tiff(slides[2], mpp=1.0)
    extractor = DeepFeatureExtractor(probe := Probe())
    case = asked("mpp", 1.0, save_dir=tmp_path / "out")
    with pytest.raises(Exception, match=r"1 of 3 slides failed.*missing") as failed:
        extractor.run(slides, **case)
    assert list(failed.value.outputs) == [slides[0], slides[2]]
    assert list(failed.value.errors) == [slides[1]]
    assert probe.n_encoded == 20 + 70
    collected = extractor.run(slides, on_error="collect", **case)
    assert collected == failed.value.outputs
    assert list(collected.errors) == [slides[1]]
    shutil.copy(tiff, slides[1])
    assert list(extractor.run(slides, **case)) == slides
    assert probe.n_encoded == 20 + 70 + 20


def test_9_a_mask_that_is_none_is_refused_not_passed_over(tiff):
    with open_slide(tiff) as opened, pytest.raises(Exception, match="is no mask"):
        DeepFeatureExtractor(Probe()).run([tiff], masks=[opened], **asked("mpp", 1.0))


def test_10_the_least_share_of_a_patch_can_be_asked_for(tiff):
    mask = np.zeros((6, 8), bool)
    mask[:, 0] = True  # a column of 256 level-0 pixels
    case = asked("mpp", 0.5, 384, masks=[mask])
    extractor = DeepFeatureExtractor(Probe())
    counts = [
        len(extractor.run([tiff], min_mask_ratio=ratio, **case)[tiff]["features"])
        for ratio in (0.0, 0.6, 0.7)
    ]
    assert counts == [4, 4, 0]


def test_11_nothing_is_left_beside_the_features(tmp_path, tiff):
    out = tmp_path / "out"
    extractor = DeepFeatureExtractor(Probe())
    extractor.run([tiff], save_dir=out, memory_threshold=1, **asked("mpp", 0.5, 64))
    assert [path.name for path in out.iterdir()] == ["formula.zarr"]
    assert {path.name for path in (out / "formula.zarr").iterdir()} == NAMES


def test_12_an_output_says_what_it_was_made_of_and_with(tmp_path, tiff):
    mask = mask_of((9, 12))
    case = asked("mpp", 1.0, (200, 100), stride_shape=150, masks=[mask])
    found = DeepFeatureExtractor(Probe()).run([tiff], save_dir=tmp_path, **case)
    told = dict(zarr.open_group(found[tiff], mode="r").attrs)
    assert len(told["slide_sha256"]) == len(told["mask_sha256"]) == 64
    assert told["slide_id"] == f"formula-{told['slide_sha256'][:10]}"
    wanted = {
        "slide_mpp": 0.5, "patch_mpp": 1.0, "units": "mpp", "resolution": 1.0, "mask": "given",
        "scale_factor": [2.0, 2.0], "patch_input_shape": [200, 100], "stride_shape": [150, 150],
        "encoder": "probe", "encoder_version": "1", "weights_sha256": "", "precision": "float32",
        "is_complete": True,
    }  # fmt: skip
    assert {name: told[name] for name in wanted} == wanted
    assert {"zarr", "numpy", "pathassets"} <= set(told["software"])
    assert set(told["preprocessing"]) >= {"scale", "mean", "std", "resize_px", "crop_px"}


def test_13_a_keyword_that_there_is_not_is_a_type_error(tiff):
    with pytest.raises(TypeError, match="stride_shape"):
        DeepFeatureExtractor(Probe()).run([tiff], stride_shap=3, **asked("mpp", 1.0))


def test_14_no_tissue_gives_an_empty_result(tmp_path, tiff):
    extractor = DeepFeatureExtractor(probe := Probe())
    case = asked("mpp", 0.5, masks=[np.zeros((4, 4))])
    path = extractor.run([tiff], save_dir=tmp_path, **case)[tiff]
    group = zarr.open_group(path, mode="r")
    assert group["features"].shape == (0, 15)
    assert group["coordinates"].shape == group["coordinates_px0"].shape == (0, 4)
    assert extractor.run([tiff], **case)[tiff]["features"].shape == (0, 15)
    assert probe.n_encoded == 0


def test_15_patches_smaller_than_a_pixel_of_the_mask_are_kept(tiff):
    mask = np.zeros((3, 4), bool)
    mask[1, 2] = True  # 512 x 512 level-0 pixels
    found = DeepFeatureExtractor(Probe()).run([tiff], **asked("mpp", 0.5, 50, masks=[mask]))[tiff]
    wanted = {
        (x, y)
        for x in range(0, 2048, 50)
        for y in range(0, 1536, 50)
        if x < 1536 and x + 50 > 1024 and y < 1024 and y + 50 > 512
    }
    assert set(map(tuple, found["coordinates_px0"][:, :2].tolist())) == wanted
