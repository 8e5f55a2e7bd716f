from __future__ import annotations

import h5py
import numpy as np
import pytest

from pathassets.adapters.exchange.parts.hdf5 import new_h5, own_dataset, put_rows
from pathassets.errors import StoreError


def test_numbers_beyond_the_type_are_refused(tmp_path):
    rows = np.array([[1.0, 70_000.0]], np.float32)
    with new_h5(tmp_path / "a.h5") as file, pytest.raises(StoreError, match="too large"):
        put_rows(file, "feats", iter([rows]), (1, 2), "float16")
    with new_h5(tmp_path / "b.h5") as file:
        put_rows(file, "feats", iter([rows]), (1, 2), "float32")


@pytest.mark.parametrize("n_rows", [0, 1, 3])
def test_fewer_or_more_rows_than_there_should_be_are_refused(tmp_path, n_rows):
    rows = np.zeros((n_rows, 2), np.float32)
    with new_h5(tmp_path / "a.h5") as file, pytest.raises((StoreError, TypeError, ValueError)):
        put_rows(file, "feats", iter([rows]), (2, 2), "float32")


def test_numbers_in_other_files_are_not_a_file_s_own(tmp_path):
    (tmp_path / "raw").write_bytes(bytes(32))
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["link"] = h5py.ExternalLink("other.h5", "x")
        file["soft"] = h5py.SoftLink("/own")
        file.create_dataset("raw", (4,), "f8", external=[(str(tmp_path / "raw"), 0, 32)])
        layout = h5py.VirtualLayout((4,), "f8")
        layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
        file.create_virtual_dataset("virtual", layout)
        file.create_group("group")
        file["own"] = np.zeros(4)
    with h5py.File(path) as file:
        for name in ("link", "soft", "raw", "virtual", "group", "none"):
            with pytest.raises(StoreError, match="no dataset"):
                own_dataset(path, file, name)
        assert own_dataset(path, file, "own").shape == (4,)
