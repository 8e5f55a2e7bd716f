"""Names, on a home that a run has built a dataset in."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

import pathassets
from pathassets.catalog.records import CohortFacts
from pathassets.cli import main
from pathassets.engine.datasets.find import open_dataset
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.datasets.freeze import freeze
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import Platform, open_platform
from pathassets.errors import CatalogError, SpecError
from tests.engine.conftest import register_files, settings_in, settings_of, write_slide
from tests.engine.workers_here import workers_here


@dataclass(frozen=True)
class Home:
    path: Path
    versions: list[str]


def build(platform: Platform) -> str:
    [entry] = platform.recipe.datasets
    return build_dataset(platform, entry, run_id="build").artifact.address.digest


def tell(platform: Platform, *labels: str) -> None:
    slides = sorted(one.slide_id for one in plan_slides(platform))
    platform.catalog.set_cohort_facts(
        [
            CohortFacts(slide_id=slide_id, patient=None, label=label)
            for slide_id, label in zip(slides, labels, strict=True)
        ]
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two slides with features, and two versions of the dataset over them."""
    settings = settings_in(tmp_path_factory.mktemp("find") / "home")
    scans = settings.home / "scans"
    scans.mkdir()
    with open_platform(settings) as platform, workers_here():
        for number in (1, 2):
            write_slide(scans / f"s{number}.svs", seed=number)
        register_files(platform, scans)
        list(run_batch(platform, plan_slides(platform), platform.recipe.per_slide, run_id="run"))
        tell(platform, "a", "a")
        versions = [build(platform)]
        tell(platform, "a", "b")
        versions.append(build(platform))
        assert freeze(platform, "cohort", who="Ann", why="a test").version == 1
    return Home(path=settings.home, versions=versions)


@pytest.fixture(autouse=True)
def _home(home, monkeypatch):
    monkeypatch.setenv("PATHASSETS_HOME", str(home.path))


def test_a_name_is_the_version_that_was_built_last(home):
    dataset = pathassets.load_dataset("cohort")
    assert open_dataset("cohort", None).path.name == home.versions[1]
    assert dataset.classes == ("a", "b")
    assert [len(bag.features) for bag in dataset] == [one.n_patches for one in dataset.members]
    assert min(one.n_patches for one in dataset.members) > 0


def test_a_version_that_is_in_force_again_is_the_last_again(home):
    with open_platform(settings_of(home.path)) as platform:
        tell(platform, "a", "a")
        assert build(platform) == home.versions[0]
        assert open_dataset("cohort", None).path.name == home.versions[0]
        tell(platform, "a", "b")
        assert build(platform) == home.versions[1]
        assert open_dataset("cohort", None).path.name == home.versions[1]


def test_a_release_is_what_it_was_whatever_was_built_since(home):
    with open_platform(settings_of(home.path)) as platform:
        tell(platform, "a", "a")
        assert build(platform) == home.versions[0]
        assert open_dataset("cohort@1", None).path.name == home.versions[1]
        assert pathassets.load_dataset("cohort@1", verify=True).classes == ("a", "b")
        tell(platform, "a", "b")
        build(platform)


def test_a_release_is_copied_by_a_command_and_read_without_the_home(tmp_path, monkeypatch):
    done = CliRunner().invoke(main, ["dataset", "copy", "cohort@1", str(tmp_path / "copied")])
    assert done.exit_code == 0, done.output
    assert "2 slides of cohort@1 copied" in done.output
    bags = list(pathassets.load_dataset("cohort@1"))
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path / "nothing"))
    copied = pathassets.load_dataset(tmp_path / "copied", verify=True)
    assert [bag.slide_id for bag in copied] == [bag.slide_id for bag in bags]
    assert all(
        (one.features == other.features).all() for one, other in zip(copied, bags, strict=True)
    )


def test_a_digest_names_a_version(home):
    first, second = home.versions
    assert open_dataset(f"cohort@{first}", None).path.name == first
    assert pathassets.load_dataset(f"cohort@{second}").classes == ("a", "b")
    assert pathassets.load_dataset(f"cohort@{first}").classes == ("a",)


def test_a_store_that_is_named_is_asked_by_its_own_catalog(home, tmp_path, monkeypatch):
    shutil.copytree(home.path / "store", tmp_path / "other")
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path / "nothing"))
    dataset = pathassets.load_dataset("cohort", store=tmp_path / "other")
    assert dataset.root == tmp_path / "other"
    pathassets.copy_dataset("cohort", tmp_path / "copied", store=tmp_path / "other")
    assert len(pathassets.load_dataset(tmp_path / "copied")) == len(dataset)
    with pytest.raises(CatalogError):
        pathassets.load_dataset("cohort")


def test_a_name_that_there_is_not_is_refused_with_the_one_that_is_meant():
    with pytest.raises(SpecError, match=r"dataset chohort: no version .*Did you mean 'cohort'"):
        pathassets.load_dataset("chohort")
    with pytest.raises(SpecError, match="no name of a version"):
        pathassets.load_dataset("cohort@latest")
    with pytest.raises(CatalogError, match=r"release cohort@7: there is none. There is cohort@1$"):
        pathassets.load_dataset("cohort@7")
    with pytest.raises(CatalogError, match=r"release chohort@1: there is none. .*mean 'cohort'"):
        pathassets.load_dataset("chohort@1")
    with pytest.raises(
        CatalogError, match=r"0{16}: there is no such version. There are cohort@.* a"
    ):
        pathassets.load_dataset(f"cohort@{'0' * 16}")
