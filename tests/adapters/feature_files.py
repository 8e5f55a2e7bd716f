"""Features that a test writes, in one go or in several."""

import hashlib

import numpy as np

from pathassets.adapters.zarr.feature_writer import FeatureWriter

DIM = 5
ATTRIBUTES = {"encoder": "e", "mpp": 0.5, "left": [1, 2]}


def rows_of(n, shape=(DIM,)):
    return np.arange(n * int(np.prod(shape)), dtype=np.float32).reshape(n, *shape) + 0.25


def boxes_of(n):
    return np.arange(4 * n, dtype=np.int64).reshape(n, 4) - 5


def open_writer(path, n, *, shape=(DIM,), **changes):
    given = {
        "shape": shape,
        "boxes": {"coordinates": boxes_of(n), "coordinates_px0": 2 * boxes_of(n)},
        "attributes": ATTRIBUTES,
    }
    return FeatureWriter(path, **(given | changes))


def write_on(path, n, *, step=64, left_out=(), stop_at=None, shape=(DIM,)):  # noqa: PLR0913 - a test's knobs
    """What a caller does: begins or goes on, and stops without finishing before `stop_at`."""
    with open_writer(path, n, shape=shape) as writer:
        rows = rows_of(n, shape)
        for start in range(writer.n_done, n, step):
            if stop_at is not None and start >= stop_at:
                return writer.n_done
            places = range(start, min(start + step, n))
            writer.leave_out([place for place in places if place in left_out])
            writer.write(rows[[place for place in places if place not in left_out]])
        if stop_at is None:
            writer.finish(n_skipped=len(left_out))
        return writer.n_done


def hashes_of(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
