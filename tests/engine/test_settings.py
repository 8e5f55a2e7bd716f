from dataclasses import replace
from pathlib import Path

import pytest

from pathassets.engine import settings as settings_module
from pathassets.engine.platform.recipe import open_recipe
from pathassets.engine.settings import (
    DEFAULT_RECIPE,
    MOST_THREADS,
    Cluster,
    cache_bytes,
    disks_of,
    processes_of_line,
    read_settings,
    usable_cores,
    worker_environment,
)
from pathassets.errors import SpecError


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    return tmp_path


def test_everything_has_a_default_below_the_home(home):
    settings = read_settings()
    assert settings.home == home
    assert settings.store == home / "store"
    assert settings.catalog_url == f"sqlite:///{home}/store/catalog.sqlite"
    assert settings.recipe == DEFAULT_RECIPE
    assert settings.inboxes == (home / "inbox",)
    assert settings.dagster_home == home / ".dagster"
    assert settings.inbox_stable_s == 60
    assert settings.n_workers == usable_cores() >= 1
    assert settings.slide_timeout_s == 4 * 3600
    assert settings.device == "auto"
    assert settings.read_threads == 1
    assert settings.scratch is None
    assert settings.scratch_bytes == 100 * 10**9


def test_a_store_in_a_bucket_leaves_catalog_and_work_on_this_machine(home, monkeypatch):
    monkeypatch.setenv("PATHASSETS_STORE", "s3://bucket/labs/store/")
    settings = read_settings()
    assert str(settings.store) == "s3://bucket/labs/store"
    assert settings.catalog_url == f"sqlite:///{home}/catalog.sqlite"
    assert not settings.has_own_catalog
    assert settings.work.parent == home
    assert disks_of(settings) == {"home": home}
    assert settings.cache_bytes == 50 * 10**9
    monkeypatch.setenv("PATHASSETS_SCRATCH", str(home / "fast"))
    monkeypatch.setenv("PATHASSETS_CACHE_GB", "0.5")
    assert read_settings().work == home / "fast" / settings.work.name
    assert read_settings().cache_bytes == cache_bytes() == 5 * 10**8
    monkeypatch.setenv("PATHASSETS_STORE", "s3://bucket/labs/other")
    assert read_settings().work.name != settings.work.name


@pytest.mark.parametrize(
    "store", ["https://lab.example/store", "s3://", "s3://id:secret@bucket/x", "ftp://bucket/x"]
)
@pytest.mark.usefixtures("home")
def test_what_is_no_bucket_is_no_store(monkeypatch, store):
    monkeypatch.setenv("PATHASSETS_STORE", store)
    with pytest.raises(SpecError) as caught:
        read_settings()
    assert "secret" not in str(caught.value)
    assert "s3://" in caught.value.remedy


@pytest.mark.parametrize(
    ("store", "lacks"),
    [
        ("s3:store/one", "s3:…: lacks the two slashes"),
        ("s3:/store/one", "s3:…: lacks the two slashes"),
        ("s3//store/one", "s3//…: lacks the colon"),
        ("gs:store", "gs:…: lacks the two slashes"),
        ("AZ//store", "az//…: lacks the colon"),
        ("https:lab.example/store", "https:…: lacks the two slashes"),
        ("http//lab.example/store", "http//…: lacks the colon"),
    ],
)
def test_a_url_that_lacks_a_part_makes_no_folder(home, monkeypatch, store, lacks):
    monkeypatch.setenv("PATHASSETS_STORE", store)
    with pytest.raises(SpecError, match=f"^PATHASSETS_STORE: {lacks} of a URL") as caught:
        read_settings()
    assert "begins with ./" in caught.value.remedy
    monkeypatch.chdir(home)
    for path in (f"./{store}", "s3", "gs/store", "data/s3:x"):
        monkeypatch.setenv("PATHASSETS_STORE", path)
        assert read_settings().store == home / path


@pytest.mark.parametrize(("n_cores", "n_workers", "n_threads"), [(16, 4, 4), (16, 5, 3), (2, 8, 1)])
@pytest.mark.usefixtures("home")
def test_the_cores_are_shared_out_among_the_workers(monkeypatch, n_cores, n_workers, n_threads):
    monkeypatch.setattr(settings_module, "usable_cores", lambda: n_cores)
    assert read_settings().read_threads == 1
    monkeypatch.setenv("PATHASSETS_WORKERS", str(n_workers))
    assert read_settings().read_threads == n_threads


@pytest.mark.parametrize(
    ("said", "named", "address"),
    [
        ("ray", "", "local"),
        ("ray", "10.0.0.1:6379", "10.0.0.1:6379"),
        ("head.lab:6379", "", "head.lab:6379"),
        ("ray://head.lab:10001", "10.0.0.1:6379", "ray://head.lab:10001"),
    ],
)
@pytest.mark.usefixtures("home")
def test_workers_may_be_those_of_a_ray_cluster(monkeypatch, said, named, address):
    monkeypatch.setenv("PATHASSETS_WORKERS", said)
    monkeypatch.setenv("RAY_ADDRESS", named)
    monkeypatch.setenv("PATHASSETS_LINE_GPUS", "0.5")
    settings = read_settings()
    assert settings.cluster == Cluster(address=address, worker_gb=1.0, line_gb=4.0, line_gpus=0.5)
    assert settings.n_workers == usable_cores()


@pytest.mark.usefixtures("home")
def test_a_number_of_workers_is_no_cluster(monkeypatch):
    monkeypatch.setenv("PATHASSETS_WORKERS", "3")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert (read_settings().cluster, read_settings().n_workers) == (None, 3)


@pytest.mark.parametrize(
    ("said", "fact"),
    [
        ("foo", "is neither a number nor the address of a Ray cluster"),
        ("me@head:6379", "is neither a number nor the address of a Ray cluster"),
        ("ray://", "lacks the host and the port of a Ray cluster's head"),
        ("ray://head", "lacks the port of a Ray cluster's head"),
        ("head:", "lacks the port of a Ray cluster's head"),
        (":6379", "lacks the host of a Ray cluster's head"),
    ],
)
@pytest.mark.usefixtures("home")
def test_workers_that_are_neither_a_number_nor_a_cluster_are_told_what_there_is(
    monkeypatch, said, fact
):
    monkeypatch.setenv("PATHASSETS_WORKERS", said)
    with pytest.raises(SpecError, match=f"^PATHASSETS_WORKERS: '{said}' {fact}") as caught:
        read_settings()
    for form in ("2", "ray", "head:6379", "ray://head:10001"):
        assert f" {form}" in caught.value.remedy


def test_the_default_home_is_where_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_settings().home == tmp_path


def test_every_variable_moves_its_thing(home, monkeypatch):
    monkeypatch.setenv("PATHASSETS_STORE", "~/art")
    monkeypatch.setenv("PATHASSETS_CATALOG", "postgresql+psycopg2://host/db")
    monkeypatch.setenv("PATHASSETS_RECIPE", "/r/recipe.yaml")
    monkeypatch.setenv("PATHASSETS_INBOX", "/scanner/out:/scanner/two::/scanner/out")
    monkeypatch.setenv("PATHASSETS_INBOX_STABLE_S", "0.5")
    monkeypatch.setenv("PATHASSETS_WORKERS", "3")
    monkeypatch.setenv("PATHASSETS_SLIDE_TIMEOUT_S", "90")
    monkeypatch.setenv("PATHASSETS_DEVICE", "GPU")
    monkeypatch.setenv("PATHASSETS_READ_THREADS", "5")
    monkeypatch.setenv("PATHASSETS_SCRATCH", "~/fast")
    monkeypatch.setenv("PATHASSETS_SCRATCH_GB", "0.5")
    settings = read_settings()
    assert settings.store == Path.home() / "art"
    assert settings.catalog_url == "postgresql+psycopg2://host/db"
    assert settings.recipe == Path("/r/recipe.yaml")
    assert settings.inboxes == (Path("/scanner/out"), Path("/scanner/two"))
    assert (settings.inbox_stable_s, settings.slide_timeout_s) == (0.5, 90)
    assert (settings.n_workers, settings.read_threads) == (3, 5)
    assert (settings.scratch, settings.scratch_bytes) == (Path.home() / "fast", 5 * 10**8)
    assert settings.device == "cuda"
    assert settings == replace(settings, home=home)


@pytest.mark.parametrize("make", [Path.mkdir, lambda own: own.symlink_to("/not/mounted.yaml")])
def test_a_recipe_of_the_home_that_cannot_be_read_is_not_the_packages(home, make):
    make(home / "recipe.yaml")
    with pytest.raises(SpecError, match=r"recipe\.yaml: cannot read the recipe"):
        open_recipe(read_settings())


def test_a_recipe_of_another_name_is_told_and_not_the_packages(home, monkeypatch):
    (home / "recipe.yml").write_text(DEFAULT_RECIPE.read_text())
    with pytest.raises(SpecError, match=r"recipe\.yml: is not read") as caught:
        open_recipe(read_settings())
    assert "PATHASSETS_RECIPE" in caught.value.remedy
    monkeypatch.setenv("PATHASSETS_RECIPE", str(home / "recipe.yml"))
    assert open_recipe(read_settings()).entries


def test_a_recipe_in_the_home_is_taken_before_the_packages(home, monkeypatch):
    (home / "recipe.yaml").touch()
    assert read_settings().recipe == home / "recipe.yaml"
    monkeypatch.setenv("PATHASSETS_RECIPE", str(home / "other.yaml"))
    assert read_settings().recipe == home / "other.yaml"


@pytest.mark.parametrize(
    "name",
    [
        *("STORE", "CATALOG", "RECIPE", "INBOX", "INBOX_STABLE_S", "WORKERS", "DEVICE"),
        *("READ_THREADS", "SCRATCH", "SCRATCH_GB"),
    ],
)
def test_a_variable_set_to_nothing_counts_as_not_set(home, monkeypatch, name):
    before = read_settings()
    monkeypatch.setenv(f"PATHASSETS_{name}", "")
    assert read_settings() == before
    assert before.home == home


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PATHASSETS_DEVICE", "tpu"),
        ("PATHASSETS_VERIFY", "never"),
        ("PATHASSETS_WORKERS", "many"),
        ("PATHASSETS_WORKERS", "ray://head"),
        ("PATHASSETS_WORKERS", "user@head:6379"),
        ("PATHASSETS_WORKERS", "0"),
        ("PATHASSETS_WORKERS", "-1"),
        ("PATHASSETS_WORKERS", "0.5"),
        ("PATHASSETS_WORKERS", "1.5"),
        ("PATHASSETS_SLIDE_TIMEOUT_S", "0"),
        ("PATHASSETS_SLIDE_TIMEOUT_S", "nan"),
        ("PATHASSETS_INBOX_STABLE_S", "inf"),
        ("PATHASSETS_READ_THREADS", "0"),
        ("PATHASSETS_READ_THREADS", "1.5"),
        ("PATHASSETS_SCRATCH_GB", "0"),
        ("PATHASSETS_SCRATCH_GB", "all"),
        ("PATHASSETS_STORE", "s3:/bucket/store"),
        ("PATHASSETS_STORE", "https://lab.example/store"),
        ("PATHASSETS_INBOX", "s3:/bucket/scans"),
        ("PATHASSETS_INBOX", "s3:bucket/scans"),
        ("PATHASSETS_INBOX", "gs//bucket/scans"),
        ("PATHASSETS_INBOX", "/data/in:https:/lab.example/scans"),
        ("PATHASSETS_INBOX", "s3://"),
    ],
)
@pytest.mark.usefixtures("home")
def test_an_impossible_value_is_refused_by_the_name_of_its_variable(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SpecError, match=name) as e:
        read_settings()
    assert e.value.remedy


@pytest.mark.parametrize("name", ["n_workers", "read_threads"])
def test_no_settings_have_less_than_one_worker_or_thread(settings, name):
    with pytest.raises(SpecError, match=f"{name}: 0 is not 1 or more") as e:
        replace(settings, **{name: 0})
    assert "PATHASSETS_" in e.value.remedy


def test_no_log_of_settings_shows_the_catalog_s_password(home, monkeypatch):
    monkeypatch.setenv(
        "PATHASSETS_CATALOG", "postgresql://ann:sw0rdfish@host/db?password=sw0rdfish"
    )
    assert read_settings().home == home
    assert "sw0rdfish" not in repr(read_settings())


@pytest.mark.parametrize(
    ("n_threads", "said", "n"),
    [
        *((n, None, 0) for n in (1, 2, MOST_THREADS)),
        *((n * MOST_THREADS, None, n) for n in (2, 4)),
        (MOST_THREADS + 1, None, 2),
        (16, "0", 0),
        (1, "3", 3),
    ],
)
def test_many_threads_are_those_of_several_processes(monkeypatch, n_threads, said, n):
    if said is not None:
        monkeypatch.setenv("PATHASSETS_READ_PROCESSES", said)
    assert processes_of_line(n_threads) == n


@pytest.mark.parametrize("value", ["-1", "1.5", "all"])
def test_an_impossible_number_of_processes_is_refused(monkeypatch, value):
    monkeypatch.setenv("PATHASSETS_READ_PROCESSES", value)
    with pytest.raises(SpecError, match="PATHASSETS_READ_PROCESSES"):
        processes_of_line(16)


def test_a_worker_is_told_by_how_many_threads_it_may_read_or_left_what_is_set_here(monkeypatch):
    monkeypatch.setenv("PATHASSETS_READ_THREADS", "9")
    told = [worker_environment(2, n)["PATHASSETS_READ_THREADS"] for n in (1, 3, None)]
    assert told == ["1", "3", "9"]


@pytest.mark.usefixtures("home")
def test_events_of_openlineage_go_nowhere_unless_it_is_asked_for(monkeypatch):
    assert read_settings().openlineage == ""
    monkeypatch.setenv("PATHASSETS_OPENLINEAGE", "file:events.ndjson")
    assert read_settings().openlineage == f"file:{Path.cwd() / 'events.ndjson'}"
    assert read_settings().openlineage_namespace == "pathassets"
    monkeypatch.setenv("PATHASSETS_OPENLINEAGE", "https://localhost:5000/x?key=secret")
    assert "secret" not in repr(read_settings())


@pytest.mark.parametrize(
    "target",
    [
        "events.ndjson",
        "file:",
        "ftp://x",
        "http://",
        "http://localhost:secret@localhost",
        "http://[::1",
    ],
)
@pytest.mark.usefixtures("home")
def test_what_takes_no_events_is_refused_without_being_repeated(monkeypatch, target):
    monkeypatch.setenv("PATHASSETS_OPENLINEAGE", target)
    with pytest.raises(SpecError, match="PATHASSETS_OPENLINEAGE") as caught:
        read_settings()
    assert "secret" not in str(caught.value)
