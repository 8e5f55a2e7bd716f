"""What the users' document says of `DeepFeatureExtractor`, sentence by sentence.

Each test begins with what it quotes. What is not as quoted is so on purpose, and says why.
"""

from __future__ import annotations

import inspect
import pydoc
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import zarr

import pathassets
from pathassets.engine.features.extractor import DeepFeatureExtractor, SlidesFailed
from pathassets.engine.features.request import RunOptions
from pathassets.errors import EncoderError, SpecError
from tests.engine.probe_encoder import Probe
from tests.formula_tiff import write_formula_tiff

PATCHES = np.random.default_rng(5).integers(0, 256, (9, 16, 8, 3), dtype=np.uint8)
ASKED = {
    "patch_mode": False, "auto_get_mask": False, "patch_input_shape": (128, 128),
    "input_resolutions": [{"units": "mpp", "resolution": 2.0}],
}  # fmt: skip
KEYS = {
    "auto_get_mask": True, "batch_size": 2, "class_dict": {0: "a"}, "device": "cpu", "labels": None,
    "memory_threshold": 80, "num_workers": 1, "output_file": None, "return_labels": True,
    "return_probabilities": False, "scale_factor": (2.0, 2.0), "stride_shape": (64, 64),
    "verbose": False,
}  # fmt: skip
"""The keys that the document lists, four times."""
INIT = "(model, batch_size=8, num_workers=0, weights=None, *, device='cpu', verbose=True)"
RUN = (
    "(images, *, masks=None, input_resolutions=None, patch_input_shape=None, ioconfig=None, "
    "patch_mode=True, save_dir=None, overwrite=False, output_type='dict', **kwargs)"
)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_formula_tiff(tmp_path_factory.mktemp("slides") / "formula.tiff")


@pytest.fixture
def extractor():
    return DeepFeatureExtractor(Probe(), verbose=False)


def signature_of(function) -> str:
    parameters = inspect.signature(function).parameters.values()
    plain = [p.replace(annotation=p.empty) for p in parameters if p.name != "self"]
    return str(inspect.Signature(plain))


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("__init__", INIT),
        ("run", RUN),
        ("post_process_patches", "(raw_predictions, **kwargs)"),
    ],
)
def test_parameters_and_defaults_are_those_quoted(name, quoted):
    assert signature_of(getattr(DeepFeatureExtractor, name)) == quoted


def test_two_methods_take_what_is_quoted_and_more():
    """infer_wsi(dataloader, save_path, **kwargs); save_predictions(processed_predictions,
    output_type, save_path=None, **kwargs)."""
    said = signature_of(DeepFeatureExtractor.infer_wsi)
    assert said == "(dataloader, save_path=None, **kwargs)"  # none keeps the rows in memory
    said = signature_of(DeepFeatureExtractor.save_predictions)
    assert said == (
        "(processed_predictions, output_type, save_path=None, *, overwrite=False, **kwargs)"
    )


def test_process_prediction_per_batch(extractor):
    """Flag to control whether predictions are processed per batch. Default is False."""
    assert DeepFeatureExtractor.process_prediction_per_batch is False
    assert extractor.process_prediction_per_batch is False


def test_model_is_a_name_or_an_instance():
    """A PyTorch model instance or the name of a pretrained model."""

    class Mean(torch.nn.Module):
        def forward(self, pixels):
            return pixels.mean((2, 3))

    for model in (Mean(), "colour_stats"):
        found = DeepFeatureExtractor(model, verbose=False).run(PATCHES)
        assert len(found["features"]) == len(PATCHES)
    with pytest.raises(SpecError, match="Did you mean resnet18"):
        DeepFeatureExtractor("resnet19")


def test_batch_size_is_patches_per_forward_pass():
    """Number of image patches processed per forward pass. Default is 8."""
    sizes = []

    class Noting(torch.nn.Module):
        def forward(self, pixels):
            sizes.append(len(pixels))
            return pixels.mean((2, 3))

    DeepFeatureExtractor(Noting(), verbose=False).run(PATCHES)
    DeepFeatureExtractor(Noting(), batch_size=3, verbose=False).run(PATCHES)
    assert sizes == [8, 8, 3, 3, 3]  # the last pass is filled up: rows never depend on company


def test_weights_are_used_and_must_be_there(tmp_path):
    """Path to model weights. If None, default weights are used."""
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.AdaptiveAvgPool2d(1))
    torch.save(module.state_dict(), tmp_path / "w.pt")
    wanted = DeepFeatureExtractor(module, verbose=False).run(PATCHES)["features"]
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.AdaptiveAvgPool2d(1))
    given = DeepFeatureExtractor(other, weights=tmp_path / "w.pt", verbose=False)
    assert (given.run(PATCHES)["features"] == wanted).all()
    with pytest.raises(EncoderError, match="no such file"):
        DeepFeatureExtractor(other, weights=tmp_path / "none.pt")


def test_device_is_named_as_torch_does():
    """Device to run the model on (e.g., "cpu", "cuda"). Default is "cpu"."""
    assert "device='cpu'" in repr(DeepFeatureExtractor("colour_stats"))
    with pytest.raises(EncoderError, match="not on 'cuda:0'"):
        DeepFeatureExtractor("colour_stats", device="cuda")


def test_verbose_shows_progress_and_its_absence_shows_none(tmp_path, slide, capsys):
    """Whether to enable verbose logging. Default is True."""
    talking, silent = DeepFeatureExtractor(Probe()), DeepFeatureExtractor(Probe(), verbose=False)
    for extractor, shown in ((talking, True), (silent, False)):
        extractor.run(PATCHES)
        extractor.run([slide], save_dir=tmp_path / str(shown), **ASKED)
        extractor.infer_wsi([(PATCHES, np.zeros((9, 4)))])
        said = capsys.readouterr()
        assert said.out == ""
        assert [line.partition(" [")[0] for line in said.err.splitlines()] == [
            "patches: 100% 9/9", "1/1 formula.tiff: 100% 12/12", "features: 9 patches",
        ] * shown  # fmt: skip
    talking.run(PATCHES, verbose=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("key", KEYS)
def test_every_method_takes_every_optional_key(extractor, slide, key):
    """Optional Keys: auto_get_mask, batch_size, class_dict, device, labels, memory_threshold,
    num_workers, output_file, return_labels, return_probabilities, scale_factor, stride_shape,
    verbose."""
    option = {key: KEYS[key]}
    rows = np.ones((1, 3), np.float32)
    extractor.infer_wsi([(PATCHES, np.zeros((9, 4)))], **option)
    extractor.run([slide], **{**ASKED, **option})
    extractor.run(PATCHES, **option)
    extractor.save_predictions({"features": rows}, "dict", **option)
    assert extractor.post_process_patches(rows, **option) is rows


def test_keys_that_are_none_of_them_are_refused(extractor):
    """A typing error is told, where the class of that document keeps it as an attribute."""
    for method in (extractor.run, extractor.infer_wsi):
        with pytest.raises(TypeError, match="Did you mean 'batch_size'"):
            method([], batchsize=3)


def test_infer_wsi_returns_probabilities_and_coordinates(tmp_path, extractor):
    """Dictionary containing: "probabilities": Extracted feature maps from the model.
    "coordinates": Patch coordinates corresponding to the features."""
    boxes = np.arange(36).reshape(9, 4)
    for path in (None, tmp_path / "a.zarr"):
        found = extractor.infer_wsi([(PATCHES[:5], boxes[:5]), (PATCHES[5:], boxes[5:])], path)
        assert set(found) == {"probabilities", "coordinates"}
        assert (np.asarray(found["probabilities"]) == Probe().encode(PATCHES)).all()
        assert (np.asarray(found["coordinates"]) == boxes).all()


def test_memory_threshold_spills_to_save_path(tmp_path, extractor):
    """It supports memory-aware caching by spilling intermediate results to disk when memory usage
    exceeds a specified threshold. save_path: Path to save intermediate Zarr output."""
    found = extractor.infer_wsi(
        [(PATCHES, np.zeros((9, 4)))], tmp_path / "a.zarr", memory_threshold=0
    )
    assert isinstance(found["probabilities"], zarr.Array)
    assert (tmp_path / "a.zarr" / "features").is_dir()


def test_post_process_patches_returns_what_it_is_given(extractor):
    """Unmodified raw predictions."""
    rows = np.random.default_rng(1).random((4, 3), np.float32)
    before = rows.copy()
    assert extractor.post_process_patches(rows) is rows
    assert (rows == before).all()


def test_images_are_paths_open_slides_or_an_array(tmp_path, extractor, slide):
    """Can be a list of file paths, WSIReader objects, or a NumPy array of image patches."""
    np.save(tmp_path / "p.npy", PATCHES[0])
    by_path = extractor.run([tmp_path / "p.npy"])["features"]
    assert (by_path == extractor.run(PATCHES[:1])["features"]).all()
    with pathassets.open_slide(slide) as opened:
        (by_reader,) = extractor.run([opened], **ASKED).values()
    assert (by_reader["features"] == extractor.run([slide], **ASKED)[slide]["features"]).all()


def test_masks_are_a_list_or_an_array(tmp_path, extractor, slide):
    """Optional masks for WSI processing. Only used when patch_mode is False."""
    mask = np.zeros((3, 4), np.uint8)
    mask[1, 1] = 1
    np.save(tmp_path / "m.npy", mask)
    for masks in ([tmp_path / "m.npy"], mask[None]):
        found = extractor.run([slide], masks=masks, **ASKED)[slide]
        assert 0 < len(found["features"]) < 12
    with pytest.raises(SpecError, match="patch_mode=False"):  # unused they would say nothing
        extractor.run(PATCHES, masks=[mask])


@pytest.mark.parametrize(
    "resolution", [{"units": "level", "resolution": 1}, {"units": "mpp", "resolution": 2.0},
                   {"units": "power", "resolution": 5}],
)  # fmt: skip
def test_units_are_level_power_and_mpp(extractor, slide, resolution):
    """Supported units are level, power, and mpp. Keys should be "units" and "resolution"."""
    asked = {**ASKED, "input_resolutions": [resolution]}
    assert len(extractor.run([slide], power=20, **asked)[slide]["features"]) == 12


def test_patch_input_shape_is_height_and_width(extractor, slide):
    """Shape of input patches (height, width), requested at read resolution. Must be positive."""
    found = extractor.run([slide], **{**ASKED, "patch_input_shape": (64, 128)})[slide]
    assert found["coordinates"][0].tolist() == [0, 0, 128, 64]
    with pytest.raises(ValueError, match="patch_input_shape"):
        extractor.run([slide], **{**ASKED, "patch_input_shape": (0, 128)})


def test_an_ioconfig_says_patch_and_resolution(extractor, slide):
    """IO configuration for patch extraction and resolution."""
    told = SimpleNamespace(
        input_resolutions=ASKED["input_resolutions"], patch_input_shape=(128, 128),
        stride_shape=(128, 128),
    )  # fmt: skip
    found = extractor.run([slide], ioconfig=told, patch_mode=False, auto_get_mask=False)
    assert len(found[slide]["features"]) == 12


def test_patch_mode_is_true_and_a_slide_is_refused_then(extractor, slide):
    """Whether to treat input as patches (True) or WSIs (False). Default is True."""
    assert len(extractor.run(PATCHES)["features"]) == len(PATCHES)
    with pytest.raises(SpecError, match=r"is a slide, not a patch\. Give patch_mode=False"):
        extractor.run([slide])


def test_save_dir_is_where_outputs_go_and_may_be_there(tmp_path, extractor, slide):
    """Directory to save output files. Required for WSI mode."""
    assert extractor.run([slide], save_dir=tmp_path, **ASKED) == {slide: tmp_path / "formula.zarr"}
    assert set(extractor.run([slide], **ASKED)[slide]) >= {"features", "coordinates"}  # no need


def test_overwrite_replaces_and_its_absence_refuses(tmp_path, extractor, slide):
    """Whether to overwrite existing output files. Default is False."""
    extractor.run([slide], save_dir=tmp_path, **ASKED)
    other = {**ASKED, "patch_input_shape": (64, 64)}
    with pytest.raises(SlidesFailed, match="overwrite=True"):
        extractor.run([slide], save_dir=tmp_path, **other)
    path = extractor.run([slide], save_dir=tmp_path, overwrite=True, **other)[slide]
    assert zarr.open_group(path, mode="r")["features"].shape == (48, 15)


def test_output_types_are_zarr_and_dict(extractor, slide):
    """ValueError: If output_type is not "zarr" or "dict"."""
    for images, asked in ((PATCHES, {}), ([slide], ASKED)):
        with pytest.raises(ValueError, match="output_type"):
            extractor.run(images, output_type="annotationstore", **asked)
    with pytest.raises(ValueError, match="save_dir"):
        extractor.run(PATCHES, output_type="zarr")


def test_patches_return_predictions_or_the_path_of_the_output(tmp_path, extractor):
    """If patch_mode is True: returns predictions or path to saved output."""
    found = extractor.run(PATCHES)
    path = extractor.run(PATCHES, save_dir=tmp_path, output_type="zarr")
    assert path == tmp_path / "output.zarr"
    assert (zarr.open_group(path, mode="r")["features"][:] == found["features"]).all()


def test_slides_return_a_mapping_to_the_paths_of_outputs(tmp_path, extractor, slide):
    """If patch_mode is False: returns a dictionary mapping each WSI to its output path."""
    found = extractor.run([slide], save_dir=tmp_path, **ASKED)
    assert isinstance(found, dict)
    assert zarr.open_group(found[slide], mode="r")["coordinates"].shape == (12, 4)


def test_return_probabilities_changes_nothing(extractor):
    """The return_probabilities flag is always set to True for this engine."""
    found = [extractor.run(PATCHES, return_probabilities=said) for said in (True, False)]
    assert (found[0]["features"] == found[1]["features"]).all()


def test_stride_shape_is_the_patch_where_nobody_says(extractor, slide):
    """Stride used during WSI processing. Defaults to patch_input_shape if not provided."""
    plain = extractor.run([slide], **ASKED)[slide]["coordinates"]
    same = extractor.run([slide], stride_shape=(128, 128), **ASKED)[slide]["coordinates"]
    half = extractor.run([slide], stride_shape=(128, 64), **ASKED)[slide]["coordinates"]
    assert plain.tolist() == same.tolist()
    assert half[1].tolist() == [64, 0, 192, 128]


def test_labels_are_one_for_each_image(extractor):
    """Optional labels for input images. Only a single label per image is supported."""
    found = extractor.run(PATCHES, labels=range(9), return_labels=True)
    assert found["labels"].tolist() == list(range(9))
    assert "labels" not in extractor.run(PATCHES, labels=range(9))
    with pytest.raises(ValueError, match="labels"):
        extractor.run(PATCHES, labels=[1])


def test_output_file_names_the_output(tmp_path, extractor):
    """Filename for saving output (e.g., ".zarr" or ".db")."""
    path = extractor.run(PATCHES, save_dir=tmp_path, output_file="mine.zarr")
    assert path == tmp_path / "mine.zarr"


def test_auto_get_mask_finds_the_tissue(extractor, slide):
    """Automatically generate segmentation masks using wsireader.tissue_mask() during processing."""
    told = {**ASKED, "auto_get_mask": True}
    assert extractor.run([slide], **told)[slide]["attributes"]["mask"] == "auto"
    assert extractor.run([slide], **ASKED)[slide]["attributes"]["mask"] == "none"


def test_the_scale_factor_is_in_the_output_whatever_is_given(extractor, slide):
    """Scale factor for annotations (model_mpp / slide_mpp). Used to convert coordinates to
    baseline resolution."""
    found = extractor.run([slide], scale_factor=(9.0, 9.0), **ASKED)[slide]
    factor = found["attributes"]["scale_factor"][0]
    assert (found["coordinates"] * factor == found["coordinates_px0"]).all()


def test_save_predictions_writes_zarr_or_returns_a_dictionary(tmp_path, extractor):
    """If output_type is "zarr": returns the path to the saved Zarr file. If output_type is "dict":
    returns predictions as a dictionary. Required for "zarr" format: save_path."""
    given = {"probabilities": np.ones((2, 3), np.float32), "predictions": np.zeros(2)}
    assert set(extractor.save_predictions(given, "dict")) == {"features"}
    path = extractor.save_predictions(given, "zarr", tmp_path / "a.zarr")
    assert path == tmp_path / "a.zarr"
    assert set(zarr.open_group(path, mode="r").array_keys()) == {"features", "coordinates"}
    with pytest.raises(ValueError, match="save_dir"):
        extractor.save_predictions(given, "zarr")
    with pytest.raises(FileExistsError, match="is there already"):
        extractor.save_predictions(given, "zarr", tmp_path / "a.zarr")


def test_save_predictions_refuses_another_format(extractor):
    """ValueError: If an unsupported output format is provided."""
    with pytest.raises(ValueError, match="output_type"):
        extractor.save_predictions({"features": np.ones((2, 3), np.float32)}, "qupath")


def test_help_tells_every_parameter_and_every_key():
    said = pydoc.render_doc(DeepFeatureExtractor)
    methods = ["__init__", "run", "infer_wsi", "post_process_patches", "save_predictions"]
    names = {
        name
        for method in methods
        for name in inspect.signature(getattr(DeepFeatureExtractor, method)).parameters
    } - {"self", "kwargs"}
    told = {word for line in said.splitlines() for word in line.partition(": ")[0].split(", ")}
    told = {word.strip(" |") for word in told}
    assert names | set(RunOptions.__annotations__) <= told


def test_an_extractor_and_its_outputs_are_one_line(extractor, slide):
    assert repr(DeepFeatureExtractor("resnet18", 4)) == (
        "DeepFeatureExtractor('resnet18', batch_size=4, device='cpu', num_workers=0, verbose=True)"
    )
    outputs = extractor.run([slide, "none.svs"], on_error="collect", **ASKED)
    assert repr(outputs) == f"SlideOutputs(1 of 2 slides: {slide})"
