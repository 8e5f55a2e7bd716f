import copy
import json
import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import zarr
from torch.utils.data import DataLoader

import pathassets
from pathassets.errors import ArtifactCorrupt, ArtifactMissing, BagUnreadable, SpecError
from tests.engine.datasets.bag_store import COHORT, DIM, Slide, write_by_zarr, write_dataset


@pytest.fixture
def store(published, tmp_path):
    """The same, for a test to damage."""
    shutil.copytree(published.parents[3], tmp_path / "store")
    return tmp_path / "store"


def folder_in(store):
    return next((store / "dataset" / "cohort" / "all").iterdir())


def features_of(store, slide):
    return store / str(slide.address) / "features.zarr" / "features"


def equal(one, other):
    return all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(one, other, strict=True)
    )


def test_a_bag_has_the_features_coordinates_label_patient_and_id_of_its_slide(published):
    dataset = pathassets.load_dataset(published)
    assert dataset.classes == ("normal", "stroma", "tumour")
    assert len(dataset) == len(COHORT)
    for bag, slide in zip(dataset, COHORT, strict=True):
        np.testing.assert_array_equal(bag.features.numpy(), slide.rows)
        np.testing.assert_array_equal(bag.coordinates.numpy(), slide.boxes)
        assert bag.features.shape == (slide.n, DIM)
        assert (bag.features.dtype, bag.coordinates.dtype) == (torch.float32, torch.int64)
        assert dataset.classes[bag.label] == slide.label
        assert (bag.slide_id, bag.patient) == (slide.slide_id, slide.patient or "")
    assert dataset.labels == [bag.label for bag in dataset]
    assert dataset.slide_ids == [slide.slide_id for slide in COHORT]
    assert dataset.patients == ["p1", "p1", "", "p4", "p5"]


def test_a_split_has_its_slides_and_the_classes_of_all(published):
    train = pathassets.load_dataset(published, split="train")
    test = pathassets.load_dataset(published, split="test")
    assert train.slide_ids == ["s1", "s2", "s3"]
    assert test.slide_ids == ["s4"]
    assert train.classes == test.classes == ("normal", "stroma", "tumour")
    assert test.labels == [2]
    both = pathassets.load_dataset(published, split=["test", "val"])
    assert both.slide_ids == ["s4", "s5"]


def test_a_part_that_there_is_not_names_the_one_that_is_meant(published):
    with pytest.raises(SpecError, match=r"split 'trian'.*Did you mean 'train'"):
        pathassets.load_dataset(published, split="trian")


def test_the_caller_may_say_the_classes_and_what_becomes_of_others(published):
    chosen = pathassets.load_dataset(
        published, classes=["tumour", "normal"], unknown_label="drop", split=["train", "val"]
    )
    assert (chosen.slide_ids, chosen.labels) == (["s1", "s2", "s3"], [0, 1, 1])
    kept = pathassets.load_dataset(published, classes=["tumour"], unknown_label="keep")
    assert kept.labels == [0, -100, -100, 0, -100]
    loss = torch.nn.functional.cross_entropy(torch.zeros(5, 2), torch.tensor(kept.labels))
    assert loss.item() == pytest.approx(np.log(2))
    with pytest.raises(SpecError, match="slide s2: label 'normal' is no class, as with 3 of 5"):
        pathassets.load_dataset(published, classes=["tumour"])


def test_a_slide_without_a_label_is_refused_unless_the_caller_says_more(tmp_path):
    folder = write_dataset(tmp_path / "store", [Slide(slide_id="s1", label=None)])
    with pytest.raises(SpecError, match="slide s1: it has no label"):
        pathassets.load_dataset(folder)
    [bag] = pathassets.load_dataset(folder, unknown_label="keep")
    assert bag.label == -100
    assert len(pathassets.load_dataset(folder, unknown_label="drop")) == 0


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_features_stay_what_they_are_unless_another_type_is_asked_for(tmp_path, dtype):
    folder = write_dataset(tmp_path / "store", [Slide(slide_id="s1", n=3)], dtype=dtype)
    assert pathassets.load_dataset(folder)[0].features.dtype == getattr(torch, dtype)
    for other in (torch.float16, torch.bfloat16, torch.float32):
        [bag] = pathassets.load_dataset(folder, dtype=other)
        expected = torch.from_numpy(zarr.open(folder.parents[3])[
            f"{Slide(slide_id='s1').address}/features.zarr/features"
        ][:]).to(other)  # fmt: skip
        assert torch.equal(bag.features, expected)


def test_features_that_another_program_compressed_are_read_too(store):
    slide = COHORT[0]
    group = features_of(store, slide).parent
    shutil.rmtree(group)
    write_by_zarr(group, slide, "float32", compressors=zarr.codecs.ZstdCodec())
    dataset = pathassets.load_dataset(folder_in(store), max_patches=10)
    assert torch.equal(dataset[0].features, pathassets.load_dataset(
        folder_in(store))[0].features[torch.isin(
            pathassets.load_dataset(folder_in(store))[0].coordinates[:, 0],
            dataset[0].coordinates[:, 0])])  # fmt: skip
    two = list(DataLoader(dataset, batch_size=None, num_workers=1))  # forked after zarr was used
    assert all(equal(*pair) for pair in zip(two, dataset, strict=True))


# Sub-sampling


def test_of_a_slide_with_more_patches_so_many_are_drawn_in_their_order(published):
    dataset = pathassets.load_dataset(published, max_patches=6)
    assert [len(bag.features) for bag in dataset] == [6, 6, 0, 3, 6]
    for bag, slide in zip(dataset, COHORT, strict=True):
        rows = (bag.coordinates[:, 0].numpy() - 1) // 4
        assert (np.diff(rows) > 0).all()
        np.testing.assert_array_equal(bag.features.numpy(), slide.rows[rows])
        np.testing.assert_array_equal(bag.coordinates.numpy(), slide.boxes[rows])


def test_a_draw_is_the_same_until_the_epoch_or_the_seed_is_another(published):
    dataset = pathassets.load_dataset(published, max_patches=6)
    first = dataset[0]
    assert equal(dataset[0], first)
    assert equal(pathassets.load_dataset(published, split="train", max_patches=6)[0], first)
    dataset.set_epoch(1)
    assert not torch.equal(dataset[0].coordinates, first.coordinates)
    dataset.set_epoch(0)
    assert equal(dataset[0], first)
    other = pathassets.load_dataset(published, max_patches=6, seed=1)
    assert not torch.equal(other[0].coordinates, first.coordinates)


def test_a_draw_of_none_is_refused(published):
    with pytest.raises(SpecError, match="max_patches: 0 is not 1 or more"):
        pathassets.load_dataset(published, max_patches=0)


# Worker processes


def epochs(dataset, **given):
    """Bags of two epochs, by workers that live on."""
    loader = DataLoader(dataset, batch_size=None, shuffle=False, **given)
    found = []
    for epoch in range(2):
        dataset.set_epoch(epoch)
        found += list(loader)
    return found


@pytest.mark.parametrize(
    ("n_workers", "method"),
    [(1, "fork"), (2, "fork"), pytest.param(1, "spawn", marks=pytest.mark.slow)],
)
def test_bags_are_the_same_by_any_number_of_workers(published, n_workers, method):
    expected = epochs(pathassets.load_dataset(published, max_patches=6))
    found = epochs(
        pathassets.load_dataset(published, max_patches=6), num_workers=n_workers,
        multiprocessing_context=method, persistent_workers=True,
    )  # fmt: skip
    assert len(found) == 2 * len(COHORT)
    assert all(equal(*pair) for pair in zip(found, expected, strict=True))
    assert not torch.equal(found[0].coordinates, found[len(COHORT)].coordinates)


def test_a_dataset_is_pickled_and_copied_with_its_epoch(published):
    dataset = pathassets.load_dataset(published, max_patches=6)
    dataset.set_epoch(3)
    for other in (pickle.loads(pickle.dumps(dataset)), copy.deepcopy(dataset)):  # noqa: S301
        assert equal(other[0], dataset[0])


def test_an_error_in_a_worker_process_says_what_it_says_in_this_one(store):
    shutil.rmtree(features_of(store, COHORT[1]))
    dataset = pathassets.load_dataset(folder_in(store))
    with pytest.raises(
        BagUnreadable,
        match=r"slide s2: .*features: is gone. pathassets doctor --bytes notes it, "
        r"then pathassets run makes it anew",
    ) as here:
        dataset[1]
    with pytest.raises(BagUnreadable) as there:
        list(DataLoader(dataset, batch_size=None, num_workers=1))
    assert str(here.value) in str(there.value)


def test_batches_of_the_cohort_are_padded_or_concatenated_by_a_loader(published):
    dataset = pathassets.load_dataset(published)
    [padded] = DataLoader(dataset, batch_size=5, collate_fn=pathassets.pad_bags)
    [flat] = DataLoader(dataset, batch_size=5, collate_fn=pathassets.concatenate_bags)
    assert torch.equal(padded.features[padded.mask], flat.features)
    assert padded.labels.tolist() == flat.labels.tolist() == dataset.labels


# What is wrong


def test_features_that_are_gone_damaged_or_changed_name_slide_file_and_remedy(store):
    dataset = pathassets.load_dataset(folder_in(store))
    chunk = features_of(store, COHORT[0]) / "c" / "1" / "0"
    data = chunk.read_bytes()
    chunk.write_bytes(data[:100])
    with pytest.raises(
        BagUnreadable, match=r"slide s1: .*features: its chunk 1 .*pathassets run makes it anew"
    ):
        dataset[0]
    chunk.unlink()
    with pytest.raises(
        BagUnreadable, match=r"slide s1: .*c/1/0: is gone.*pathassets run makes it anew"
    ) as error:
        dataset[0]
    assert error.value.uri == str(chunk)
    assert dataset[1].slide_id == "s2"  # one that is damaged hides no other
    other = np.frombuffer(data, "<f4").copy()
    other[4] = np.nan
    chunk.write_bytes(other.tobytes())
    with pytest.raises(BagUnreadable, match=r"slide s1: .*holds NaN or infinity in row 1025"):
        dataset[0]


def test_features_of_another_shape_than_the_dataset_says_are_refused(store):
    dataset = pathassets.load_dataset(folder_in(store))
    shutil.rmtree(features_of(store, COHORT[1]))
    shutil.copytree(features_of(store, COHORT[3]), features_of(store, COHORT[1]))
    with pytest.raises(BagUnreadable, match=r"slide s2: .*has 3 rows, the dataset says 7"):
        dataset[1]
    boxes = features_of(store, COHORT[3]).with_name("coordinates")
    shutil.rmtree(boxes)
    shutil.copytree(features_of(store, COHORT[3]), boxes)
    with pytest.raises(BagUnreadable, match=r"slide s4: .*coordinates: holds float32 \(3, 3\)"):
        dataset[3]


def test_a_changed_byte_is_found_by_verifying(store):
    folder = folder_in(store)
    pathassets.load_dataset(folder, verify=True)
    chunk = features_of(store, COHORT[0]) / "c" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[0] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(BagUnreadable, match=r"slide s1: .*c/0/0: has other bytes"):
        pathassets.load_dataset(folder, verify=True)
    pathassets.load_dataset(folder, split="test", verify=True)
    artifact = store / str(COHORT[3].address) / "artifact.json"
    (store / str(COHORT[1].address) / "artifact.json").write_bytes(artifact.read_bytes())
    with pytest.raises(BagUnreadable, match=r"slide s2: .* to other bytes than the dataset names"):
        pathassets.load_dataset(folder, classes=["normal"], unknown_label="drop", verify=True)


def test_a_folder_that_is_no_dataset_or_whose_manifest_was_changed_is_refused(store, tmp_path):
    with pytest.raises(ArtifactMissing, match=r"has no manifest.parquet: it is no dataset"):
        pathassets.load_dataset(tmp_path)
    table = folder_in(store) / "manifest.parquet"
    manifest = pd.read_parquet(table)
    manifest.assign(label="x").to_parquet(table)
    with pytest.raises(ArtifactCorrupt, match=r"manifest.parquet: has \d+ bytes|has other bytes"):
        pathassets.load_dataset(folder_in(store))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="split"), "has no column split"),
        (lambda t: pd.concat([t, t]), "names a slide twice"),
        *(
            (lambda t, uri=uri: t.assign(features_uri=uri), "names features elsewhere")
            for uri in ("/etc", "features/../../x", "", "a\\b", "a\0b")
        ),
    ],
)
def test_a_manifest_that_somebody_wrote_is_checked(store, change, said):
    table = folder_in(store) / "manifest.parquet"
    (folder_in(store) / "artifact.json").unlink()  # nothing says what it should be
    change(pd.read_parquet(table)).to_parquet(table)
    with pytest.raises(ArtifactCorrupt, match=said):
        pathassets.load_dataset(folder_in(store))


def test_a_column_of_the_manifest_may_be_the_label(store):
    table = folder_in(store) / "manifest.parquet"
    (folder_in(store) / "artifact.json").unlink()
    pd.read_parquet(table).assign(grade=["3", "1", "1", "2", "2"]).to_parquet(table)
    dataset = pathassets.load_dataset(folder_in(store), label="grade")
    assert (dataset.classes, dataset.labels) == (("1", "2", "3"), [2, 0, 0, 1, 1])


def test_it_says_what_it_is_in_a_line(published):
    text = repr(pathassets.load_dataset(published, split="train"))
    assert text.endswith(", 3 bags, 2 'normal', 1 'tumour')")


def test_the_manifest_of_a_release_says_all_that_is_read_of_it(published):
    stated = json.loads((published / "artifact.json").read_text())
    assert [file["path"] for file in stated["files"]] == ["manifest.parquet"]
