import hashlib

import pytest

import pathassets
from pathassets.engine.platform.ingestion.cohort_table import read_cohort
from pathassets.engine.platform.ingestion.demo_patients import write_patients
from pathassets.errors import OutputExists, SpecError, StoreError


def hashes(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patients") / "scans"
    assert [path.name for path in write_patients(folder, 2)] == [
        "patient-001.svs",
        "patient-002.svs",
    ]
    return folder


def test_each_patient_has_a_slide_and_every_second_one_is_of_the_other_class(two):
    assert sorted(hashes(two)) == ["cohort.csv", "patient-001.svs", "patient-002.svs"]
    assert (two / "cohort.csv").read_text() == (
        "file,patient,label\n"
        "patient-001.svs,patient-001,lymphoid\n"
        "patient-002.svs,patient-002,glandular\n"
    )
    read_cohort(two / "cohort.csv")
    for path in two.glob("*.svs"):
        with pathassets.open_slide(path) as slide:
            assert slide.info.mpp == 0.5
            assert 0.2 < pathassets.tissue_mask_of(slide).tissue.mean() < 0.6


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(two, tmp_path):
    write_patients(tmp_path / "again", 1)
    write_patients(tmp_path / "other", 1, seed=1)
    first = hashes(two)["patient-001.svs"]
    assert hashes(tmp_path / "again")["patient-001.svs"] == first
    assert hashes(tmp_path / "other")["patient-001.svs"] != first


def test_a_folder_with_something_in_it_is_left_as_it_is(tmp_path):
    (tmp_path / "cohort.csv").write_text("mine")
    with pytest.raises(OutputExists, match="is there already"):
        write_patients(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["cohort.csv"]
    with pytest.raises(StoreError, match="cannot be written"):
        write_patients(tmp_path / "cohort.csv" / "below", 1)


@pytest.mark.parametrize("n", [0, -1, 1000])
def test_so_many_patients_there_cannot_be(tmp_path, n):
    with pytest.raises(SpecError, match="patients: "):
        write_patients(tmp_path / "scans", n)
