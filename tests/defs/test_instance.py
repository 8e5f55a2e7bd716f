from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from pathassets.defs.instance import open_instance
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.settings import read_settings
from pathassets.errors import CatalogError, SpecError, StoreError, is_passing

pytestmark = pytest.mark.usefixtures("home")


def test_all_state_is_in_the_home_from_wherever_it_is_opened(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    with open_instance(read_settings()) as instance:
        instance.add_dynamic_partitions("slides", ["a"])
    monkeypatch.chdir(home)
    with open_instance(read_settings()) as instance:
        assert instance.get_dynamic_partitions("slides") == ["a"]
    assert list(elsewhere.iterdir()) == []
    assert sorted(path.name for path in home.iterdir()) == [".dagster", "recipe.yaml"]


def test_the_home_s_own_dagster_yaml_is_the_one_in_force(home: Path) -> None:
    (home / "dagster.yaml").write_text("concurrency: {pools: {default_limit: 3}}\n")
    with open_instance(read_settings()) as instance:
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "dagster.yaml: cannot be read: while parsing"),
        ("no_such_key: 1", 'unexpected config entry "no_such_key" at the root'),
        ("storage: {sqlite: {nope: 1}}", 'unexpected config entry "nope" at path root:storage'),
    ],
)
def test_a_dagster_yaml_that_cannot_be_used_is_named(home: Path, text: str, said: str) -> None:
    (home / "dagster.yaml").write_text(text)
    with pytest.raises(SpecError, match=said) as caught:
        open_instance(read_settings())
    assert len(str(caught.value)) < 500
    assert "delete" in caught.value.remedy


@contextmanager
def no_file_over(n_bytes: int) -> Iterator[None]:
    """Let no file grow further: to SQLite that is a disk without room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_databases_of_dagster_without_room_are_told_in_a_line_and_made_later() -> None:
    said = r"Dagster's databases .*/\.dagster\): "
    with pytest.raises(CatalogError, match=said) as caught, no_file_over(40_000):
        open_instance(read_settings())
    assert "has room and can be written" in caught.value.remedy
    assert is_passing(caught.value)
    with open_instance(read_settings()) as instance:
        instance.add_dynamic_partitions("slides", ["a"])
        assert instance.get_dynamic_partitions("slides") == ["a"]


def test_a_named_instance_must_be_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(home / "nope"))
    with pytest.raises(SpecError, match=r"nope: DAGSTER_HOME is no folder. Make it"):
        open_instance(read_settings())
    (home / "nope").mkdir()
    with open_instance(read_settings()) as instance:
        assert isinstance(instance, dg.DagsterInstance)
        assert Path(instance.root_directory) == home / "nope"


def test_a_home_that_cannot_be_written_is_named(home: Path) -> None:
    (home / ".dagster").write_text("in the way")
    with pytest.raises(StoreError, match=r"\.dagster: Dagster's folder is not writable"):
        open_instance(read_settings())


def test_dagster_s_state_is_its_owners_alone(home: Path) -> None:
    (home / ".dagster").mkdir(mode=0o755)
    with open_platform(read_settings()) as platform, open_instance(read_settings()) as instance:
        assert isinstance(instance, dg.DagsterInstance)
        assert "catalog.sqlite" in repr(platform)
    folders = {path.name: path.stat().st_mode & 0o777 for path in home.iterdir() if path.is_dir()}
    assert folders == {".dagster": 0o700, "store": 0o700}
    assert (home / "store" / "catalog.sqlite").stat().st_mode & 0o777 == 0o600
