import numpy as np
import pytest
from pydantic import ValidationError

from pathassets.core.features.embedding import EmbeddingSpec, max_of, mean_of

ROWS = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)


@pytest.mark.parametrize("n_rows", [1, 7, 100])
@pytest.mark.parametrize(("pool", "wanted"), [(mean_of, np.mean), (max_of, np.max)])
def test_all_rows_count_once_whatever_the_chunks(n_rows, pool, wanted) -> None:
    chunks = [ROWS[i : i + n_rows] for i in range(0, 100, n_rows)] + [ROWS[:0]]
    found = pool(chunks)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted(ROWS.astype(float), axis=0), rtol=1e-6)


def test_the_greatest_of_negative_rows_is_negative() -> None:
    assert max_of([np.full((3, 2), -5, np.float32), np.full((3, 2), -4, np.float32)]).tolist() == [
        -4,
        -4,
    ]


def test_a_million_equal_rows_have_their_own_mean() -> None:
    chunk = np.full((1000, 1), 0.1, np.float32)
    assert mean_of([chunk] * 1000)[0] == np.float32(0.1)


@pytest.mark.parametrize("pool", [mean_of, max_of])
@pytest.mark.parametrize("chunks", [[], [np.zeros((0, 4), np.float32)]])
def test_no_row_has_no_number(pool, chunks) -> None:
    found = pool(chunks)
    assert (found.shape, found.dtype) == ((0,), np.float32)


@pytest.mark.parametrize(
    "bad",
    [{"method": "median"}, {"method": "a:"}, {"method": "a.b"}, {"method": "a b:c"},
     {"method": "mean", "weights": "w.pt"}, {"method": 3}],
)  # fmt: skip
def test_what_is_no_method_is_refused(bad) -> None:
    with pytest.raises(ValidationError):
        EmbeddingSpec(**bad)


def test_a_factory_may_have_weights() -> None:
    assert EmbeddingSpec(method="a.b:c", weights="w.pt").has_module
    assert not EmbeddingSpec().has_module
