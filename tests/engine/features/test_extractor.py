from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import zarr

from pathassets.engine.features.extractor import DeepFeatureExtractor, SlidesFailed
from pathassets.engine.slides.open import open_slide
from pathassets.errors import EncoderError, SlideError, SpecError, StoreError
from tests.engine.probe_encoder import Probe
from tests.formula_tiff import write_formula_tiff

LEVEL = {
    "patch_mode": False, "auto_get_mask": False, "patch_input_shape": 128,
    "input_resolutions": [{"units": "level", "resolution": 1}],
}  # fmt: skip
MPP = {**LEVEL, "input_resolutions": [{"units": "mpp", "resolution": 2.0}]}
N = 12
PATCHES = np.random.default_rng(2).integers(0, 256, (11, 20, 10, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def tiff(tmp_path_factory) -> Path:
    return write_formula_tiff(tmp_path_factory.mktemp("slides") / "formula.tiff")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def bytes_of(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_without_a_folder_arrays_are_returned_and_they_are_those_of_the_zarr(tmp_path, tiff):
    extractor = DeepFeatureExtractor(Probe())
    found = extractor.run([str(tiff)], **LEVEL)[str(tiff)]
    path = extractor.run([str(tiff)], save_dir=tmp_path, **LEVEL)[str(tiff)]
    group = zarr.open_group(path, mode="r")
    for name in ("features", "coordinates", "coordinates_px0"):
        assert (group[name][:] == found[name]).all()
    assert dict(group.attrs) == found["attributes"]


def test_open_slides_are_slides_and_keep_what_was_stated_of_them(tmp_path, tiff):
    import openslide  # noqa: PLC0415

    extractor = DeepFeatureExtractor(Probe())
    with open_slide(tiff, mpp=0.25) as ours, openslide.OpenSlide(tiff) as theirs:
        (stated,) = extractor.run([ours], **MPP).values()
        (plain,) = extractor.run([theirs], **MPP).values()
        again = extractor.run([theirs], save_dir=tmp_path, **MPP)
        assert again == {theirs: tmp_path / "formula.zarr"}
    assert (stated["attributes"]["slide_mpp"], len(stated["features"])) == (0.25, 4)
    assert (plain["attributes"]["slide_mpp"], len(plain["features"])) == (0.5, N)


def test_mpp_and_power_can_be_stated_for_each_slide(tmp_path):
    slides = [write_formula_tiff(tmp_path / f"{name}.tiff", mpp=None) for name in "ab"]
    extractor = DeepFeatureExtractor(Probe())
    with pytest.raises(SlidesFailed) as failed:
        extractor.run(slides, mpp=[0.5, None], **MPP)
    assert list(failed.value.outputs) == slides[:1]
    assert "mpp=" in str(failed.value.errors[slides[1]])
    assert isinstance(failed.value.errors[slides[1]], SlideError)
    found = extractor.run(slides, mpp=[0.5, 1.0], **MPP)
    assert [len(one["features"]) for one in found.values()] == [N, 48]
    power = {**LEVEL, "input_resolutions": [{"units": "power", "resolution": 5}]}
    found = extractor.run(slides, power=[20, 10], **power)
    assert [one["attributes"]["scale_factor"] for one in found.values()] == [[4, 4], [2, 2]]


def test_a_slide_without_mpp_says_how_its_tissue_can_do_without(tmp_path):
    slide = write_formula_tiff(tmp_path / "a.tiff", mpp=None)
    extractor = DeepFeatureExtractor(Probe())
    with pytest.raises(SlidesFailed, match="auto_get_mask=False"):
        extractor.run([slide], **LEVEL | {"auto_get_mask": True})
    assert len(extractor.run([slide], **LEVEL)[slide]["features"]) == N


def test_a_mask_with_its_axes_exchanged_is_refused_as_an_array_and_as_any_file(tmp_path, tiff):
    with open_slide(tiff) as slide:
        width, height = slide.info.width_px0 // 8, slide.info.height_px0 // 8
    mask = np.zeros((height, width), np.uint8)
    mask[3:9, 5:20] = 1
    extractor = DeepFeatureExtractor(Probe())
    assert len(extractor.run([tiff], masks=[mask], **LEVEL)[tiff]["features"])
    turned = np.ascontiguousarray(mask.T)
    np.save(tmp_path / "m.npy", turned)
    np.savez(tmp_path / "m.npz", data=turned)
    cv2.imwrite(str(tmp_path / "m.png"), turned)
    for given in (turned, *(tmp_path / f"m.{kind}" for kind in ("npy", "npz", "png"))):
        with pytest.raises(SlidesFailed, match=r"DeepFeatureExtractor as \[y, x\]"):
            extractor.run([tiff], masks=[given], **LEVEL)


def test_an_output_of_a_right_mask_is_no_answer_to_an_exchanged_one(tmp_path, tiff):
    mask = np.ones((3, 4), bool)
    extractor = DeepFeatureExtractor(Probe())
    extractor.run([tiff], masks=[mask], save_dir=tmp_path, **LEVEL)
    with pytest.raises(SlidesFailed, match="exchanged"):
        extractor.run([tiff], masks=[mask.T], save_dir=tmp_path, **LEVEL)


def test_masks_can_be_files_and_are_those_of_the_arrays(tmp_path, tiff):
    mask = np.zeros((30, 51), np.uint8)
    mask[10:20, 30:] = 200
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    np.save(tmp_path / "m.npy", mask)
    extractor = DeepFeatureExtractor(Probe())
    wanted = extractor.run([tiff], masks=[mask], **LEVEL)[tiff]
    assert 0 < len(wanted["features"]) < N
    for given in (mask > 0, mask / 1000, tmp_path / "m.png", str(tmp_path / "m.npy")):
        found = extractor.run([tiff], masks=[given], **LEVEL)[tiff]
        assert (found["coordinates"] == wanted["coordinates"]).all()
        assert found["attributes"]["mask_sha256"] == wanted["attributes"]["mask_sha256"]
    for given in (tmp_path / "none.png", "m.txt", np.zeros((2, 2, 2)), np.zeros((0, 3)), 3):
        with pytest.raises(SlidesFailed, match="mask"):
            extractor.run([tiff], masks=[given], **LEVEL)


def test_the_same_request_is_not_done_again_and_another_is_refused(tmp_path, tiff):
    extractor = DeepFeatureExtractor(probe := Probe())
    out = {"save_dir": tmp_path / "new" / "out"}
    found = extractor.run([tiff], **LEVEL, **out)
    before = bytes_of(found[tiff])
    assert extractor.run([tiff], batch_size=3, num_workers=2, **LEVEL, **out) == found
    assert probe.n_encoded == N
    others = [{"patch_input_shape": 64}, {"stride_shape": 64}, {"within_bound": True}, {"mpp": 1.0},
              {"masks": [np.ones((2, 2))]}, {"min_mask_ratio": 0.5}, {"power": 20}]  # fmt: skip
    for other in others:
        with pytest.raises(SlidesFailed, match="overwrite=True"):
            extractor.run([tiff], **{**LEVEL, **other}, **out)
    assert bytes_of(found[tiff]) == before
    assert names_in(out["save_dir"]) == ["formula.zarr"]


def test_overwrite_replaces_the_slides_own_outputs_and_nothing_else(tmp_path, tiff):
    extractor = DeepFeatureExtractor(probe := Probe())
    (tmp_path / "note.txt").write_text("mine")
    (tmp_path / "other.zarr").mkdir()
    found = extractor.run([tiff], save_dir=tmp_path, **LEVEL)
    before = bytes_of(found[tiff])
    again = extractor.run([tiff], save_dir=tmp_path, overwrite=True, **LEVEL)
    assert (again, bytes_of(found[tiff]), probe.n_encoded) == (found, before, 2 * N)
    extractor.run([tiff], save_dir=tmp_path, overwrite=True, **LEVEL | {"patch_input_shape": 64})
    assert zarr.open_group(found[tiff], mode="r")["features"].shape == (48, 15)
    assert names_in(tmp_path) == ["formula.zarr", "note.txt", "other.zarr"]


def test_threads_change_no_byte_of_an_output(tmp_path, tiff):
    outputs = [
        DeepFeatureExtractor(Probe(rows), num_workers=n).run(
            [tiff], save_dir=tmp_path / str(n), **LEVEL | {"patch_input_shape": 16}
        )[tiff]
        for n, rows in ((0, 8), (3, 64))
    ]
    assert zarr.open_group(outputs[0], mode="r")["features"].shape == (32 * 24, 15)
    assert bytes_of(outputs[0]) == bytes_of(outputs[1])


def test_a_slide_that_changes_while_it_is_read_fails(tmp_path, tiff):
    slide = Path(shutil.copy(tiff, tmp_path / "a.tiff"))

    class Touching(Probe):
        def encode(self, batch):
            os.utime(slide)
            return super().encode(batch)

    with pytest.raises(SlidesFailed, match="changed while it was read"):
        DeepFeatureExtractor(Touching()).run([slide], save_dir=tmp_path / "out", **LEVEL)
    assert names_in(tmp_path / "out") == []


def test_features_that_are_not_finite_fail_with_the_patch_named(tmp_path, tiff):
    class Broken(Probe):
        def encode(self, batch):
            rows = super().encode(batch)
            return np.where(np.arange(len(rows))[:, None] == 5, np.nan, rows)

    with pytest.raises(SlidesFailed, match=r"patch 5 .*not finite"):
        DeepFeatureExtractor(Broken(rows=64)).run([tiff], save_dir=tmp_path, **LEVEL)
    with pytest.raises(EncoderError, match="patch 5 are not finite"):
        DeepFeatureExtractor(Broken(rows=64)).run(PATCHES)


def test_an_error_in_the_encoder_fails_the_slide_and_leaves_it_to_be_continued(tmp_path, tiff):
    class Failing(Probe):
        def encode(self, batch):
            raise EncoderError("probe", f"is tired of {batch.shape}")

    with pytest.raises(SlidesFailed, match="is tired"):
        DeepFeatureExtractor(Failing()).run([tiff], save_dir=tmp_path, **LEVEL)
    found = DeepFeatureExtractor(Probe()).run([tiff], save_dir=tmp_path, **LEVEL)
    assert names_in(tmp_path) == ["formula.zarr"]
    assert list(found) == [tiff]


def test_labels_of_slides_are_in_what_an_output_says_of_itself(tmp_path, tiff):
    extractor = DeepFeatureExtractor(Probe())
    labelled = {"labels": ["tumour"], "save_dir": tmp_path}
    path = extractor.run([tiff], return_labels=True, **labelled, **LEVEL)[tiff]
    assert zarr.open_group(path, mode="r").attrs["label"] == "tumour"


def test_an_output_of_one_slide_can_be_named(tmp_path, tiff):
    extractor = DeepFeatureExtractor(Probe())
    named = {"output_file": "mine.zarr", "save_dir": tmp_path}
    assert extractor.run([tiff], **named, **LEVEL) == {tiff: tmp_path / "mine.zarr"}
    with pytest.raises(SpecError, match="output_file"):
        extractor.run([tiff, "b.svs"], **named, **LEVEL)


def test_no_slides_are_no_outputs(tmp_path):
    found = DeepFeatureExtractor(Probe()).run([], save_dir=tmp_path / "out", **LEVEL)
    assert (found, found.errors) == ({}, {})


def test_a_folder_that_cannot_be_is_said_at_once(tmp_path, tiff):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        DeepFeatureExtractor(Probe()).run([tiff], save_dir=tmp_path / "file", **LEVEL)


def test_a_damaged_tile_fails_the_slide_in_words(tmp_path, tiff):
    slide = tmp_path / "cut.tiff"
    slide.write_bytes(tiff.read_bytes()[:200_000])
    with pytest.raises(SlidesFailed, match=r"cut\.tiff"):
        DeepFeatureExtractor(Probe()).run([slide], **LEVEL)


def test_patches_give_features_in_memory_or_in_a_group(tmp_path):
    extractor = DeepFeatureExtractor(Probe())
    found = extractor.run(PATCHES)
    assert (found["features"] == Probe().encode(PATCHES)).all()
    assert set(found) == {"features", "coordinates"}
    assert (found["coordinates"] == [0, 0, 10, 20]).all()
    path = extractor.run(list(PATCHES), save_dir=tmp_path / "new", output_file="p.db")
    assert path == tmp_path / "new" / "p.zarr"
    group = zarr.open_group(path, mode="r")
    assert (group["features"][:] == found["features"]).all()
    assert group.attrs["encoder"] == "probe"
    assert names_in(tmp_path / "new") == ["p.zarr"]


def test_patches_that_were_written_are_replaced_only_when_asked(tmp_path):
    extractor = DeepFeatureExtractor(probe := Probe())
    path = extractor.run(PATCHES, save_dir=tmp_path, output_type="zarr")
    assert path == tmp_path / "output.zarr"
    with pytest.raises(StoreError, match="there already"):
        extractor.run(PATCHES, save_dir=tmp_path)
    assert probe.n_encoded == len(PATCHES)  # it was refused before anything was encoded
    assert extractor.run(PATCHES[:3], save_dir=tmp_path, overwrite=True) == path
    assert zarr.open_group(path, mode="r")["features"].shape == (3, 15)
    assert names_in(tmp_path) == ["output.zarr"]


def test_no_patches_give_no_features():
    assert DeepFeatureExtractor(Probe()).run([])["features"].shape == (0, 15)


def test_labels_of_patches_are_checked_and_returned_only_when_asked():
    extractor = DeepFeatureExtractor(Probe())
    with pytest.raises(SpecError, match="labels: 2 for 11 images"):
        extractor.run(PATCHES, labels=[1, 2])
    assert "labels" not in extractor.run(PATCHES, labels=list(range(11)))
    found = extractor.run(PATCHES, labels=list(range(11)), return_labels=True)
    assert found["labels"].tolist() == list(range(11))


def test_patches_of_another_shape_than_was_said_are_refused():
    extractor = DeepFeatureExtractor(Probe())
    extractor.run(PATCHES, patch_input_shape=(20, 10))
    with pytest.raises(ValueError, match="image 0: is 20 x 10 px"):
        extractor.run(PATCHES, patch_input_shape=(10, 20))


def test_masks_are_for_slides():
    with pytest.raises(SpecError, match="patch_mode=False"):
        DeepFeatureExtractor(Probe()).run(PATCHES, masks=[None])


def test_an_unknown_output_type_is_a_value_error_in_both_modes(tiff):
    for images, how in ((PATCHES, {}), ([tiff], LEVEL)):
        with pytest.raises(ValueError, match="not supported"):
            DeepFeatureExtractor(Probe()).run(images, output_type="annotationstore", **how)


class Halved(DeepFeatureExtractor):
    def post_process_patches(self, raw_predictions, **kwargs):  # noqa: ARG002
        return raw_predictions[:, :3] / 2


def test_an_override_of_post_processing_takes_effect_in_both_modes(tmp_path, tiff):
    wanted = DeepFeatureExtractor(Probe()).run([tiff], **LEVEL)[tiff]["features"][:, :3] / 2
    path = Halved(Probe()).run([tiff], save_dir=tmp_path, **LEVEL)[tiff]
    group = zarr.open_group(path, mode="r")
    assert (group["features"][:] == wanted).all()
    assert group.attrs["encoder_version"] == "1+Halved"
    assert (Halved(Probe()).run(PATCHES)["features"] == Probe().encode(PATCHES)[:, :3] / 2).all()
    with pytest.raises(SlidesFailed, match="another request"):
        DeepFeatureExtractor(Probe()).run([tiff], save_dir=tmp_path, **LEVEL)


def test_a_loader_of_ones_own_can_be_encoded(tmp_path):
    extractor = DeepFeatureExtractor(Probe())
    boxes = np.arange(44).reshape(11, 4)
    pairs = [(PATCHES[:8], boxes[:8]), (PATCHES[8:], boxes[8:])]
    named = [{"image": pixels, "coords": coordinates} for pixels, coordinates in pairs]
    for loader in (pairs, named):
        found = extractor.infer_wsi(loader)
        assert (found["probabilities"] == Probe().encode(PATCHES)).all()
        assert (found["coordinates"] == boxes).all()
    assert extractor.infer_wsi([])["probabilities"].shape == (0, 15)
    extractor.infer_wsi(pairs, tmp_path / "a.zarr")
    assert (zarr.open_group(tmp_path / "a.zarr", mode="r")["coordinates"][:] == boxes).all()


def test_saving_changes_nothing_of_what_it_is_given(tmp_path):
    extractor = DeepFeatureExtractor(Probe())
    raw = {"probabilities": np.ones((2, 3), np.float32), "predictions": [1, 2]}
    for _ in range(2):  # a second call is no other than the first
        found = extractor.save_predictions(raw, "dict")
        assert set(found) == {"features"}
    path = extractor.save_predictions(raw, "zarr", tmp_path / "a.zarr")
    assert (zarr.open_group(path, mode="r")["features"][:] == 1).all()
    assert set(raw) == {"probabilities", "predictions"}
    with pytest.raises(ValueError, match="save_dir"):
        extractor.save_predictions(raw, "zarr")


@pytest.mark.parametrize("model", [3, None, object(), lambda x: x])
def test_what_is_no_model_is_a_type_error(model):
    with pytest.raises(TypeError, match="model"):
        DeepFeatureExtractor(model)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"num_workers": -1}, {"weights": "w.pt"},
                                   {"device": "cuda"}])  # fmt: skip
def test_impossible_extractors_are_refused(wrong):
    with pytest.raises(SpecError, match=f"{next(iter(wrong))}|Leave out weights and device"):
        DeepFeatureExtractor(Probe(), **wrong)
