import pytest

from tests.engine.datasets.bag_store import write_dataset


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A dataset in a store that no test changes."""
    return write_dataset(tmp_path_factory.mktemp("published") / "store")
