"""A home whose store is in a bucket: the demo, and what a person does with a home after it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

import pathassets as library
from pathassets.adapters.store.damage import MANIFEST
from pathassets.adapters.store.opening import store_at, upkeep_of
from pathassets.adapters.store.store import Store
from pathassets.core.address import Address
from pathassets.core.recipe import STAGES
from pathassets.errors import StoreError
from tests.defs.daemon import environment, pathassets
from tests.s3_server import KEY_ID, SECRET, make_bucket

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

RECIPE = (Path(library.__file__).parent / "recipe.yaml").read_text()
Act = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def place(s3_server: str) -> dict[str, str]:
    """What a person sets to have the store in a bucket."""
    before = dict(os.environ)
    store = f"{make_bucket(s3_server)}/labs/store"
    added = {name: value for name, value in os.environ.items() if before.get(name) != value}
    return {**added, "PATHASSETS_STORE": store}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, place: dict[str, str]) -> Path:
    """A home in which the demo was run."""
    folder = tmp_path_factory.mktemp("home")
    pathassets(folder, "demo", **place)
    return folder


@pytest.fixture
def act(home: Path, place: dict[str, str]) -> Act:
    """Runs a command in it; no output says a credential."""

    def run(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = pathassets(home, *arguments, code=code, **place)
        assert not re.search(f"{KEY_ID}|{re.escape(SECRET)}", done.stdout + done.stderr)
        return done

    return run


@pytest.fixture
def store(place: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store, as another machine sees it."""
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    return store_at(place["PATHASSETS_STORE"], tmp_path / "elsewhere")


def largest_of(store: Store, address: Address) -> str:
    """Key of an artifact's largest file."""
    found = [one for one in store.place.objects(str(address)) if one.key != f"{address}/{MANIFEST}"]
    return max(found, key=lambda one: one.size_bytes).key


def contents(store: Store) -> dict[Address, str]:
    """SHA-256 over the files of each artifact, every byte of which was read."""
    found = {}
    for address in upkeep_of(store).survey([*STAGES]):
        assert isinstance(address, Address)
        assert store.is_intact(address)
        found[address] = store.read(address).content_sha256
    return found


def test_the_demo_gives_in_a_bucket_what_it_gives_in_a_folder(
    act: Act, home: Path, store: Store, tmp_path: Path
):
    pathassets(tmp_path / "home", "demo")
    in_folder = contents(store_at(str(tmp_path / "home" / "store"), tmp_path))
    assert len(in_folder) == 23
    assert contents(store) == in_folder
    assert not (home / "store").exists()
    assert (home / "catalog.sqlite").is_file()
    rows = json.loads(act("status", "--json").stdout)["slides"]
    states = sorted(a["state"] for row in rows for a in row["assets"].values())
    assert states == ["current"] * 22 + ["failed"] * 2
    act("plan")
    objects = list(store.place.objects())
    act("demo")
    assert list(store.place.objects()) == objects  # nothing was made again


def test_nothing_in_the_home_or_the_bucket_says_a_credential(home: Path, store: Store):
    secrets = (KEY_ID.encode(), SECRET.encode())
    for path in (path for path in home.rglob("*") if path.is_file()):
        assert not any(secret in path.read_bytes() for secret in secrets), path
    for one in store.place.objects():
        assert not any(secret in store.place.read(one.key) for secret in secrets), one.key


def test_what_is_damaged_in_the_bucket_is_found_and_made_anew(act: Act, store: Store):
    before = contents(store)
    masks = sorted(address for address in before if address.stage == "tissue_mask")
    gone, other = (largest_of(store, mask) for mask in masks[:2])
    store.place.delete([gone])
    store.place.put(other, store.place.read(other)[::-1])
    assert "artifact_damaged" in act("doctor", "--bytes", code=1).stdout
    act("run", code=1)  # one slide of the demo cannot be read
    assert contents(store) == before
    assert "artifact_damaged" not in act("doctor", "--bytes").stdout
    again = largest_of(store, masks[1])
    store.place.put(again, store.place.read(again)[::-1])
    act("scrub", "--share", "1", code=1)
    act("run", code=1)
    assert contents(store) == before


def test_an_artifact_json_that_is_cut_off_in_the_bucket_is_seen_by_a_look_and_made_anew(
    act: Act, store: Store
):
    before = contents(store)
    mask = next(address for address in before if address.stage == "tissue_mask")
    key = f"{mask}/artifact.json"
    text = store.place.read(key)
    store.place.put(key, text[: len(text) // 2])
    said = "artifact.json is not what was written"
    assert said in " ".join(act("status", "--look").stdout.split())
    assert said in act("doctor", code=1).stdout
    act("run", code=1)  # one slide of the demo cannot be read
    assert contents(store) == before
    assert "artifact_damaged" not in act("doctor").stdout


def test_the_doctor_sweeps_what_a_dead_writer_left_and_puts_strays_aside(
    act: Act, place: dict[str, str], store: Store
):
    before = contents(store)
    address = next(iter(before))
    store.place.put("holiday/picture.jpg", b"x")
    store.place.put(f"{address}/{'a' * 32}/mask.png", b"young")
    client = boto3.client("s3", endpoint_url=place["AWS_ENDPOINT_URL"])
    for folder in ("", "features/", "annotations/", f"{address}/"):
        key = f"{store.place.url.prefix}/{folder}"
        client.put_object(Bucket=store.place.url.host, Key=key, Body=b"")
    store.place.put("features", b"in the way")
    told = act("doctor", "--fix").stdout
    assert "1 finding, 1 mended; 1 note" in told
    assert "holiday: is no stage's folder, and may be somebody's: it is left alone" in told
    assert "/features: is a file, where only folders of artifacts are; mended" in told
    aside = [one.key.split("/", 2)[2] for one in store.place.objects(".aside")]
    assert aside == ["features"]
    assert store.place.read("holiday/picture.jpg") == b"x"
    store.place.delete(["holiday/picture.jpg"])
    assert store.place.read(f"{address}/{'a' * 32}/mask.png") == b"young"
    store.place.delete([f"{address}/{'a' * 32}/mask.png"])
    assert contents(store) == before


def test_lineage_takes_a_url_of_the_bucket(act: Act, store: Store):
    mask = next(one for one in contents(store) if one.stage == "tissue_mask")
    by_url = act("lineage", store.uri_of(mask), "--json").stdout
    assert json.loads(by_url) == json.loads(act("lineage", str(mask), "--json").stdout)


def test_a_dataset_is_released_verified_and_copied_for_training(
    act: Act, home: Path, place: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    act("dataset", "freeze", "cohort", "--who", "me", "--why", "paper")
    act("dataset", "show", "cohort@1")
    act("dataset", "verify", "cohort@1")
    act("dataset", "copy", "cohort@1", tmp_path / "copied")
    for name, value in environment(home, **place).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match="training reads them from a disk") as caught:
        library.load_dataset("cohort@1")
    assert "pathassets dataset copy cohort@1" in caught.value.remedy
    bags = library.load_dataset(tmp_path / "copied")
    assert sum(len(bag.features) for bag in bags) == 118


def test_features_are_exported_and_a_page_is_made(act: Act, tmp_path: Path):
    act("export", "trident", "features/colour_stats", tmp_path / "trident", code=1)
    assert len(list((tmp_path / "trident").rglob("features_colour_stats/*.h5"))) == 5
    act("report", "--to", tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size > 10_000


def test_a_backup_is_restored_beside_the_bucket(
    act: Act, home: Path, place: dict[str, str], store: Store, tmp_path: Path
):
    before = contents(store)
    (home / "recipe.yaml").write_text(f"{RECIPE}\nannotations: {{tumour: {{}}}}\n")
    drawn = tmp_path / "drawn.geojson"
    drawn.write_text(json.dumps(SQUARE))
    slide = next(one for one in before if one.stage == "features").partition_key
    act("annotations", "set", slide, drawn, "--name", "tumour", "--who", "me", "--why", "test")
    act("backup", tmp_path / "home.backup")
    other = tmp_path / "restored"
    other.mkdir()
    pathassets(other, "restore", tmp_path / "home.backup", **place)
    status = json.loads(pathassets(other, "status", "--json", **place).stdout)
    states = [a["state"] for row in status["slides"] for a in row["assets"].values()]
    assert states.count("current") == 22
    assert "tumour" in pathassets(other, "annotations", "show", slide, **place).stdout
    (home / "recipe.yaml").unlink()
    shutil.rmtree(other)


def test_garbage_and_a_forgotten_slide_go_from_the_bucket_and_from_this_machine(
    act: Act, home: Path, store: Store
):
    before = contents(store)
    recipe = home / "recipe.yaml"
    recipe.write_text(RECIPE.replace("resnet18_untrained", "another"))
    act("gc", "--yes", "--older-than", "0")
    recipe.unlink()
    gone = before.keys() - contents(store).keys()
    assert len(gone) == 5
    assert {one.name for one in gone} == {"resnet18_untrained"}
    slide = next(one for one in before if one.stage == "features").partition_key
    act("forget", slide, "--who", "me", "--why", "consent", "--from-releases")
    assert not [one for one in contents(store) if one.partition_key == slide]
    assert not [one.key for one in store.place.objects() if f"/{slide}/" in one.key]
    assert not [
        p for p in home.rglob("artifact.json") if slide in p.read_text().split("parents")[0]
    ]


SQUARE = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"classification": {"name": "tumour"}},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[100, 100], [900, 100], [900, 900], [100, 900], [100, 100]]],
            },
        }
    ],
}
