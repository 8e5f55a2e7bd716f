import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pathassets.adapters.parquet import (
    load_locations,
    load_manifest,
    load_table,
    save_locations,
    save_manifest,
    save_table,
)
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.patch_set import row_of
from pathassets.errors import ArtifactCorrupt
from tests.adapters.encoded_patches import encoded

SIZES = {"side_px0": 512, "patch_px": 256, "mpp": 0.5}


def locations_of(n):
    return PatchLocations(
        x_px0=np.arange(n, dtype=np.int64) * 512,
        y_px0=np.arange(n, dtype=np.int64) // 3 * 512,
        tissue_share=np.linspace(0, 1, n, dtype=np.float32),
        **SIZES,
    )


@pytest.mark.parametrize("n", [0, 1, 700])
def test_locations_come_back_as_they_were_saved(tmp_path, n):
    saved = locations_of(n)
    save_locations(tmp_path / "l.parquet", saved)
    loaded = load_locations(tmp_path / "l.parquet", **SIZES)
    for name in ("x_px0", "y_px0", "tissue_share"):
        one, other = getattr(saved, name), getattr(loaded, name)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    assert (loaded.side_px0, loaded.patch_px, loaded.mpp) == (512, 256, 0.5)
    assert loaded.boxes_px0.shape == (n, 4)


def test_the_table_tells_a_stranger_the_sizes(tmp_path):
    save_locations(tmp_path / "l.parquet", locations_of(3))
    table = pd.read_parquet(tmp_path / "l.parquet")
    assert list(table.columns) == ["x_px0", "y_px0", "tissue_share", *SIZES, "level", "label"]
    assert table.loc[2, list(SIZES)].to_dict() == SIZES


def test_equal_tables_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        save_locations(tmp_path / name, locations_of(100))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_table_keeps_what_is_missing_missing(tmp_path):
    table = pd.DataFrame({"label": pd.array(["a", None], dtype="string"), "n": [1, 2]})
    save_table(tmp_path / "t", table)
    assert load_table(tmp_path / "t")["label"].isna().tolist() == [False, True]


@pytest.mark.parametrize("data", [None, b"", b"PAR1", b"no table", b"PAR1" + b"\0" * 99 + b"PAR1"])
def test_what_is_no_table_is_corrupt_and_named(tmp_path, data):
    if data is not None:
        (tmp_path / "t.parquet").write_bytes(data)
    with pytest.raises(ArtifactCorrupt, match=r"t\.parquet: cannot be read") as e:
        load_table(tmp_path / "t.parquet")
    assert e.value.remedy


def test_a_damaged_page_is_corrupt(tmp_path):
    save_locations(tmp_path / "l.parquet", locations_of(700))
    data = bytearray((tmp_path / "l.parquet").read_bytes())
    data[4:200] = bytes(196)
    (tmp_path / "l.parquet").write_bytes(data)
    with pytest.raises(ArtifactCorrupt):
        load_locations(tmp_path / "l.parquet", **SIZES)


def test_a_table_of_something_else_is_corrupt(tmp_path):
    save_table(tmp_path / "t", pd.DataFrame({"x_px0": [1], "y_px0": [2]}))
    with pytest.raises(ArtifactCorrupt, match="lacks column 'tissue_share'"):
        load_locations(tmp_path / "t", **SIZES)
    table = pd.DataFrame({"x_px0": ["left"], "y_px0": [2], "tissue_share": [1.0]})
    save_table(tmp_path / "t", table)
    with pytest.raises(ArtifactCorrupt, match="no locations"):
        load_locations(tmp_path / "t", **SIZES)


def labelled(**changes):
    return replace(
        locations_of(4), labels=("b", "a/ü", "unused"),
        label_codes=np.array([1, 0, 0, 1], np.int32), **changes,
    )  # fmt: skip


@pytest.mark.parametrize("n", [0, 4])
def test_labels_come_back_in_their_order_with_those_of_no_patch(tmp_path, n):
    saved = labelled()
    names = ("x_px0", "y_px0", "tissue_share", "label_codes")
    saved = replace(saved, **{name: getattr(saved, name)[:n] for name in names})
    save_locations(tmp_path / "l.parquet", saved)
    loaded = load_locations(tmp_path / "l.parquet", **SIZES)
    assert loaded.labels == saved.labels
    assert loaded.label_codes.dtype == np.int32
    assert loaded.label_codes.tolist() == saved.label_codes.tolist()


def test_patches_without_labels_have_the_one_of_no_label(tmp_path):
    save_locations(tmp_path / "l.parquet", locations_of(3))
    loaded = load_locations(tmp_path / "l.parquet", **SIZES)
    assert (loaded.labels, loaded.label_codes) == (("",), None)
    assert pd.read_parquet(tmp_path / "l.parquet")["label"].tolist() == [""] * 3


def test_one_label_of_all_patches_comes_back(tmp_path):
    save_locations(tmp_path / "l.parquet", replace(locations_of(3), labels=("Tumor",)))
    loaded = load_locations(tmp_path / "l.parquet", **SIZES)
    assert (loaded.labels, loaded.label_codes) == (("Tumor",), None)


def test_a_stranger_reads_each_patchs_label_and_level(tmp_path):
    save_locations(tmp_path / "l.parquet", labelled(mpp=None, level=2))
    table = pd.read_parquet(tmp_path / "l.parquet")
    assert table["label"].tolist() == ["a/ü", "b", "b", "a/ü"]
    assert table["level"].tolist() == [2] * 4
    assert table["mpp"].isna().all()


def test_a_level_without_mpp_comes_back(tmp_path):
    save_locations(tmp_path / "l.parquet", labelled(mpp=None, level=0))
    loaded = load_locations(tmp_path / "l.parquet", side_px0=512, patch_px=256, mpp=None, level=0)
    assert (loaded.mpp, loaded.level) == (None, 0)


def test_a_table_of_before_there_were_labels_is_read(tmp_path):
    save_locations(tmp_path / "l.parquet", locations_of(3))
    old = pd.read_parquet(tmp_path / "l.parquet").drop(columns=["label", "level"])
    save_table(tmp_path / "old.parquet", old)
    loaded = load_locations(tmp_path / "old.parquet", **SIZES)
    assert (loaded.labels, loaded.label_codes, len(loaded)) == (("",), None, 3)


def test_a_label_that_is_not_among_the_tables_own_is_corrupt(tmp_path):
    save_locations(tmp_path / "l.parquet", labelled())
    table = pd.read_parquet(tmp_path / "l.parquet")
    table.loc[2, "label"] = "c"
    save_table(tmp_path / "l.parquet", table)
    with pytest.raises(ArtifactCorrupt, match="label 'c'"):
        load_locations(tmp_path / "l.parquet", **SIZES)


def test_a_label_that_is_no_text_is_saved_with_escapes(tmp_path):
    save_locations(tmp_path / "l.parquet", replace(locations_of(2), labels=("a\udc80",)))
    assert load_locations(tmp_path / "l.parquet", **SIZES).labels == ("a\\udc80",)


def test_a_label_ends_where_it_ends(tmp_path):
    labels = ("a\0", "a", " a ", "")
    saved = replace(locations_of(4), labels=labels, label_codes=np.arange(4, dtype=np.int32))
    save_locations(tmp_path / "l.parquet", saved)
    loaded = load_locations(tmp_path / "l.parquet", **SIZES)
    assert loaded.labels == labels
    assert loaded.label_codes.tolist() == [0, 1, 2, 3]


def test_a_manifest_comes_back_and_equal_ones_have_equal_bytes(tmp_path):
    rows = [
        row_of(encoded(n, r, is_set=True, label="T"), {"file": f"{n}_{r}.png"})
        for n in range(50)
        for r in (0, 0.5)
    ]
    for name in ("a", "b"):
        save_manifest(tmp_path / name, rows, ["file"])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    loaded = load_manifest(tmp_path / "a")
    assert loaded == rows
    assert json.loads(json.dumps(loaded)) == rows
    save_manifest(tmp_path / "empty", [], ["file"])
    assert load_manifest(tmp_path / "empty") == []
