import numpy as np
import pandas as pd
import pytest

from pathassets.adapters.parquet import load_locations, load_table, save_locations, save_table
from pathassets.core.locations import PatchLocations
from pathassets.errors import ArtifactCorrupt

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
    assert list(table.columns) == ["x_px0", "y_px0", "tissue_share", *SIZES]
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
