from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pathassets.core.features.encoder import COLOUR_STATS_CARD
from pathassets.core.features.encoder_cards import CARDS
from pathassets.engine.features.request import (
    RunOptions,
    RunParams,
    agreed_resolution,
    check_output,
    grid_spec,
    run_params,
    slide_inputs,
)
from pathassets.errors import EncoderError, SpecError

DEFAULTS = {"batch_size": 8, "device": "cpu", "num_workers": 0, "verbose": True}
HALF = [{"units": "mpp", "resolution": 0.5}]
Config = namedtuple("Config", "input_resolutions patch_input_shape stride_shape")  # noqa: PYI024


def params_of(**given) -> RunParams:
    return run_params(given, DEFAULTS)


def spec_of(resolutions=HALF, shape=224, ioconfig=None, card=COLOUR_STATS_CARD, **given):
    return grid_spec(resolutions, shape, ioconfig, params_of(**given), card)


def test_every_keyword_of_a_run_is_documented_where_type_checkers_see_it():
    assert set(RunOptions.__annotations__) == set(RunParams.__dataclass_fields__)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("stride_shpae", "stride_shape"), ("min_mask_ration", "min_mask_ratio"), ("x", "Known are")],
)
def test_unknown_keywords_are_a_type_error_that_says_what_was_meant(name, hint):
    with pytest.raises(TypeError, match=hint):
        params_of(**{name: 1})


def test_none_is_not_given():
    assert params_of(batch_size=None, auto_get_mask=None) == params_of()


@pytest.mark.parametrize(
    "wrong",
    [{"batch_size": 0}, {"batch_size": 2.5}, {"batch_size": True}, {"num_workers": -1},
     {"memory_threshold": -1}, {"memory_threshold": 101}, {"on_error": "skip"}],
)  # fmt: skip
def test_impossible_values_are_refused_by_name(wrong):
    with pytest.raises(SpecError, match=next(iter(wrong))):
        params_of(**wrong)


def test_shapes_are_height_and_width_or_one_number():
    spec = spec_of(shape=(100, 200))
    assert (spec.height_px, spec.width_px) == (100, 200)
    assert (spec.stride_y_px, spec.stride_x_px) == (100, 200)
    spec = spec_of(shape=np.array([64, 64]), stride_shape=np.int64(32))
    assert (spec.height_px, spec.width_px, spec.stride_y_px, spec.stride_x_px) == (64, 64, 32, 32)


@pytest.mark.parametrize(
    "shape", [0, -1, (224, 0), (1, 2, 3), "224", 224.0, (224.5, 224), [], 9000, True, [[224, 224]]]
)
def test_what_is_no_shape_is_refused(shape):
    with pytest.raises(SpecError, match="patch_input_shape"):
        spec_of(shape=shape)
    with pytest.raises(SpecError, match="stride_shape"):
        spec_of(stride_shape=70_000 if shape == 9000 else shape)


@pytest.mark.parametrize(
    "given",
    [[], "mpp", 0.5, [0.5], [{"units": "um", "resolution": 1}], [{"units": "mpp"}],
     [{"units": "mpp", "resolution": "0.5"}], [{"units": "mpp", "resolution": (0.5, 0.5)}],
     [*HALF, {"units": "mpp", "resolution": 1.0}], [{"units": "mpp", "resolution": True}],
     [{"units": "mpp", "resolution": 0.5, "more": 1}]],
)  # fmt: skip
def test_what_is_no_resolution_is_refused(given):
    with pytest.raises(SpecError, match="input_resolutions"):
        spec_of(given)


@pytest.mark.parametrize("units", ["mpp", "power", "baseline", "level"])
def test_all_units_are_units(units):
    spec = spec_of([{"units": units, "resolution": 1}])
    assert (spec.units, spec.resolution) == (units, 1.0)
    assert spec_of({"resolution": 1, "units": units}) == spec


def test_an_ioconfig_says_what_keywords_do_not():
    config = Config(HALF, [128, 64], None)
    spec = spec_of(None, None, config)
    assert (spec.resolution, spec.height_px, spec.width_px, spec.stride_y_px) == (0.5, 128, 64, 128)
    assert spec_of(HALF, (128, 64), config) == spec  # the same, said twice


@pytest.mark.parametrize(
    ("given", "name"),
    [({"resolutions": [{"units": "mpp", "resolution": 1.0}]}, "input_resolutions"),
     ({"shape": 64}, "patch_input_shape"), ({"stride_shape": 32}, "stride_shape")],
)  # fmt: skip
def test_an_ioconfig_and_a_keyword_that_contradict_are_refused(given, name):
    with pytest.raises(SpecError, match=f"{name}.*in the ioconfig"):
        spec_of(**{"resolutions": None, "shape": None, "ioconfig": Config(HALF, 128, 128), **given})


def test_an_ioconfig_of_another_kind_is_refused():
    with pytest.raises(SpecError, match="dict has no input_resolutions"):
        spec_of(None, None, {"patch_input_shape": 224})


def test_what_nobody_says_is_asked_for():
    with pytest.raises(SpecError, match="input_resolutions: nobody says it"):
        spec_of(None)
    with pytest.raises(SpecError, match="patch_input_shape: nobody says it"):
        spec_of(shape=None)


def test_what_a_published_encoder_was_trained_on_is_asked_for_where_nobody_says():
    for name, side_px in (("uni", 224), ("prov-gigapath", 256), ("conch-v1.5", 448)):
        grid = grid_spec(None, None, None, run_params({}, DEFAULTS), CARDS[name])
        assert (grid.height_px, grid.width_px, grid.units, grid.resolution) == (
            side_px, side_px, "mpp", 0.5,
        )  # fmt: skip


def test_a_ratio_outside_of_0_to_1_is_refused():
    for ratio in (-0.1, 1.1, "0.5"):
        with pytest.raises(SpecError, match="min_mask_ratio"):
            spec_of(min_mask_ratio=ratio)


def test_an_encoder_of_another_size_is_refused_before_anything_is_read():
    card = replace(COLOUR_STATS_CARD, input_px=256, mpp=1.0)
    with pytest.raises(EncoderError, match="256 x 256"):
        spec_of(card=card)
    spec = spec_of(None, None, card=card)  # what the encoder declares, where nobody says more
    assert (spec.units, spec.resolution, spec.height_px) == ("mpp", 1.0, 256)


def test_outputs_have_two_types_and_zarr_needs_a_folder():
    with pytest.raises(ValueError, match="'annotationstore' is not supported"):
        check_output("annotationstore", None, output_file=None)
    with pytest.raises(ValueError, match="save_dir"):
        check_output("zarr", None, output_file=None)
    with pytest.raises(ValueError, match="output_file"):
        check_output("dict", None, output_file="a.zarr")
    assert check_output("dict", None, output_file=None) == "dict"


def test_slides_are_named_by_path_or_by_what_is_open():
    class Theirs:
        _filename = "c.svs"

    theirs = Theirs()
    found = slide_inputs(["a.svs", Path("b.svs"), theirs], None, params_of())
    assert [slide.path for slide in found] == [Path("a.svs"), Path("b.svs"), Path("c.svs")]
    assert [slide.key for slide in found] == ["a.svs", Path("b.svs"), theirs]


@pytest.mark.parametrize(
    "images", ["a.svs", Path("a.svs"), np.zeros((1, 2, 2, 3)), {"a.svs"}, None]
)
def test_slides_come_in_a_list(images):
    with pytest.raises(TypeError, match="a list of slides"):
        slide_inputs(images, None, params_of())


def test_a_slide_that_is_named_twice_is_refused():
    with pytest.raises(SpecError, match="twice"):
        slide_inputs(["a.svs", Path("a.svs").absolute()], None, params_of())


def test_what_is_no_slide_is_refused():
    with pytest.raises(SpecError, match="patch_mode"):
        slide_inputs([np.zeros((2, 2, 3))], None, params_of())


def test_masks_mpp_power_and_labels_are_one_for_each_slide():
    for given in ({"mpp": [0.5]}, {"power": [1.0, 2.0, 3.0]}, {"labels": [1]}):
        with pytest.raises(SpecError, match="for 2 images"):
            slide_inputs(["a", "b"], None, params_of(**given))
    with pytest.raises(SpecError, match="masks: 1 for 2 images"):
        slide_inputs(["a", "b"], [None], params_of())
    a, b = slide_inputs(["a", "b"], [None, "m.png"], params_of(mpp=[None, 0.25], power=40))
    assert (a.mpp, a.power, a.mask, b.mpp, b.power, b.mask) == (None, 40, None, 0.25, 40, "m.png")


@pytest.mark.parametrize("given", [{"mpp": 0}, {"mpp": 500}, {"power": -1}, {"mpp": "0.5"}])
def test_impossible_resolutions_of_slides_are_refused(given):
    with pytest.raises(SpecError):
        slide_inputs(["a"], None, params_of(**given))


def test_one_array_is_the_mask_of_one_slide_and_a_stack_has_one_for_each():
    mask = np.ones((3, 4))
    (only,) = slide_inputs(["a"], mask, params_of())
    assert only.mask is mask
    a, b = slide_inputs(["a", "b"], np.stack([mask, 2 * mask]), params_of())
    assert (a.mask == 1).all()
    assert (b.mask == 2).all()


def test_labels_are_kept_only_where_they_are_to_be_returned():
    labels = {"labels": [np.int64(3)]}
    assert slide_inputs(["a"], None, params_of(**labels))[0].label is None
    label = slide_inputs(["a"], None, params_of(**labels, return_labels=True))[0].label
    assert (label, type(label)) == (3, int)


def test_units_and_keywords_say_what_was_meant_whatever_their_case():
    with pytest.raises(SpecError, match="Did you mean 'mpp'"):
        agreed_resolution({"units": "MPP", "resolution": 1.0}, None)
    with pytest.raises(TypeError, match="Did you mean 'stride_shape'"):
        params_of(Stride_Shape=1)


def test_a_memory_threshold_of_0_is_taken():
    assert params_of(memory_threshold=0).memory_threshold == 0
