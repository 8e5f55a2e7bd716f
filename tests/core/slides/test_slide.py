import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathassets.core.slides.slide import (
    MppAudit,
    MppSource,
    SlideInfo,
    audit_mpp,
    check_mpp,
    resolution_error,
    slide_id_of,
    slide_version,
    tile_error,
)
from pathassets.core.slides.tiles import TileDamaged, TileGrid
from pathassets.errors import (
    ResolutionImplausible,
    ResolutionMissing,
    SpecError,
    TileUnreadable,
)

FINGERPRINT = "0123456789abcdef" * 4


def sources(*values: str) -> tuple[MppSource, ...]:
    names = ("openslide.mpp-x", "openslide.mpp-y", "aperio.MPP")
    return tuple(MppSource(source=n, value=v) for n, v in zip(names, values, strict=False))


@pytest.mark.parametrize(
    ("stem", "slide_id"),
    [
        ("S12-345_HE", "S12-345_HE-0123456789"),
        ("S 12/3 HE", "S_12_3_HE-0123456789"),
        ("a//b\\c..d", "a_b_c_d-0123456789"),
        ("../../etc", "etc-0123456789"),
        ("Schnitt Ä 3", "Schnitt_3-0123456789"),
        ("切片", "0123456789"),
        ("", "0123456789"),
        ("...", "0123456789"),
        ("-_-", "0123456789"),
        ("x|y\n", "x_y-0123456789"),
        ("a" * 200, "a" * 80 + "-0123456789"),
    ],
)
def test_a_slide_is_named_by_its_clean_stem_and_its_content(stem, slide_id) -> None:
    assert slide_id_of(stem, FINGERPRINT) == slide_id


@given(st.text(), st.sampled_from(["stem", "hash"]))
def test_a_slide_id_is_short_and_safe_in_paths_and_keys(stem, scheme) -> None:
    slide_id = slide_id_of(stem, FINGERPRINT, scheme=scheme)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{9,90}", slide_id)
    assert slide_id.endswith("0123456789")


@given(st.text())
def test_nothing_of_the_file_name_is_in_a_hash_id(stem) -> None:
    assert slide_id_of(stem, FINGERPRINT, scheme="hash") == "0123456789"


def test_two_files_of_one_name_are_two_slides() -> None:
    assert slide_id_of("x", "a" * 64) != slide_id_of("x", "b" * 64)


def test_a_slide_changes_its_version_with_its_content_and_its_resolution() -> None:
    versions = {
        slide_version("a", 0.25),
        slide_version("b", 0.25),
        slide_version("a", 0.2501),
        slide_version("a", None),
    }
    assert len(versions) == 4
    assert slide_version("a", 0.25) == slide_version("a", 0.250)


@pytest.mark.parametrize(
    ("values", "power", "mpp"),
    [
        (("0.2520",), None, 0.252),
        (("0.499", "0.499", "0.4990"), 20.0, 0.499),
        (("0.2500", "0.2549"), 40.0, 0.25),
        (("0.05",), None, 0.05),
        (("5.0",), None, 5.0),
        (("0.25",), 20.0, 0.25),
        (("0.5",), 40.0, 0.5),
        (("28.9e-2",), None, 0.289),
    ],
)
def test_sources_that_agree_with_each_other_and_the_lens_give_the_first_ones_mpp(
    values, power, mpp
) -> None:
    audit = audit_mpp(sources(*values), power)
    assert (audit.mpp, audit.reason, audit.fact) == (mpp, "", "")
    assert [s.value for s in audit.sources] == list(values)


@pytest.mark.parametrize(
    ("values", "power", "problem"),
    [
        (("0",), None, "outside 0.05 to 5"),
        (("inf",), None, "not a number"),
        (("nan",), None, "not a number"),
        (("",), None, "not a number"),
        (("0,25",), None, "not a number"),
        (("0.25 um",), None, "not a number"),
        (("1e-99",), None, "outside 0.05 to 5"),
        (("-0.252",), None, "outside 0.05 to 5"),
        (("352.78",), None, "outside 0.05 to 5"),
        (("0.0499",), None, "outside 0.05 to 5"),
        (("0.25", "352.78"), None, "outside 0.05 to 5"),
        (("0.25", "nan"), None, "not a number"),
        (("0.25", "0.50"), None, "contradict each other"),
        (("0.2500", "0.2551"), None, "contradict each other"),
        (("0.25", "0.25", "0.5"), 40.0, "contradict each other"),
        (("2.5",), 40.0, "does not fit objective power 40"),
        (("0.25",), 4.0, "does not fit objective power 4"),
        (("0.1",), 1.25, "does not fit objective power 1.25"),
    ],
)
def test_a_resolution_that_cannot_be_is_refused_with_the_values_seen(
    values, power, problem
) -> None:
    audit = audit_mpp(sources(*values), power)
    assert audit.mpp is None
    assert audit.reason == "resolution_implausible"
    assert problem in audit.fact
    for source in audit.sources:
        assert f"{source.source}={source.value}" in audit.fact


def test_a_header_is_quoted_on_one_line_and_without_its_end() -> None:
    audit = audit_mpp(sources(f"a\x1b[2J\n{'x' * 1_000_000}"))
    (source,) = audit.sources
    assert source.value == f"a\\x1b[2J\\n{'x' * 74} …"
    assert audit.fact.endswith(f"(openslide.mpp-x={source.value})")


def test_a_number_counts_however_long_it_is_written() -> None:
    assert audit_mpp(sources(f"0.25{'0' * 200}1")).mpp == 0.25


def test_a_slide_that_states_nothing_has_no_resolution() -> None:
    audit = audit_mpp(())
    assert (audit.mpp, audit.reason) == (None, "resolution_missing")
    assert audit.fact == "no micrometres per pixel in the file"


def test_an_objective_alone_is_no_resolution_and_is_said_so() -> None:
    audit = audit_mpp((), 20.0)
    assert (audit.mpp, audit.reason) == (None, "resolution_missing")
    assert audit.fact.endswith("objective power 20 alone does not fix it")


@given(st.lists(st.floats(0.05, 5.0).map(repr), min_size=1, max_size=3))
def test_an_audit_gives_a_resolution_or_a_reason_and_never_both(values) -> None:
    audit = audit_mpp(sources(*values))
    assert (audit.mpp is None) == bool(audit.reason) == bool(audit.fact)
    if max(map(float, values)) <= min(map(float, values)):
        assert audit.mpp == float(values[0])


def said(**values: str) -> tuple[MppSource, ...]:
    """Sources in the order given; `tiff_x` is the TIFF's resolution."""
    names = {
        "vendor": "openslide.mpp-x",
        "tiff_x": "tiff.XResolution",
        "tiff_y": "tiff.YResolution",
    }
    return tuple(MppSource(source=names[k], value=v) for k, v in values.items())


@pytest.mark.parametrize(
    "nonsense", ["352.78", "264.6", "0", "inf", "nan", "", "-1", "1e-9", "n/a"]
)
def test_a_tiff_resolution_that_cannot_be_meant_is_listed_and_not_believed(nonsense) -> None:
    for stated in (
        said(vendor="0.25", tiff_x=nonsense, tiff_y=nonsense),
        said(tiff_x=nonsense, tiff_y=nonsense, vendor="0.25"),
    ):
        audit = audit_mpp(stated, 40.0)
        assert (audit.mpp, audit.reason, audit.fact) == (0.25, "", "")
        assert audit.sources == stated


@pytest.mark.parametrize(
    ("stated", "problem"),
    [
        (said(vendor="0.25", tiff_x="0.5"), "contradict each other"),
        (said(vendor="0.25", tiff_x="0.25", tiff_y="0.2551"), "contradict each other"),
        (said(tiff_x="0.5", vendor="0.25"), "contradict each other"),
        (said(tiff_x="352.78", tiff_y="352.78"), "outside 0.05 to 5"),
        (said(tiff_x="0.25", tiff_y="352.78"), "outside 0.05 to 5"),
        (said(tiff_x="nan"), "not a number"),
        (said(vendor="nan", tiff_x="0.25"), "not a number"),
        (said(vendor="352.78", tiff_x="0.25"), "outside 0.05 to 5"),
        (said(vendor="0.25", tiff_x="2.6", tiff_y="352.78"), "contradict each other"),
    ],
)
def test_a_tiff_resolution_that_could_be_meant_counts_as_any_other(stated, problem) -> None:
    audit = audit_mpp(stated)
    assert audit.mpp is None
    assert audit.reason == "resolution_implausible"
    assert problem in audit.fact
    for source in stated:
        assert f"{source.source}={source.value}" in audit.fact


@pytest.mark.parametrize(
    ("stated", "mpp"),
    [
        (said(tiff_x="0.25", tiff_y="0.2501"), 0.25),
        (said(vendor="0.2498", tiff_x="0.25"), 0.2498),
        (said(tiff_x="0.25", vendor="0.2498"), 0.25),
    ],
)
def test_a_tiff_resolution_alone_or_in_agreement_is_a_resolution(stated, mpp) -> None:
    assert audit_mpp(stated).mpp == mpp


@pytest.mark.parametrize("power", [float("inf"), float("nan"), -40.0, 0.0])
def test_an_objective_power_that_is_none_says_nothing(power) -> None:
    assert audit_mpp(said(vendor="0.25"), power).mpp == 0.25
    assert audit_mpp((), power).fact == "no micrometres per pixel in the file"


def info(*, audited: float | None, stated: float | None) -> SlideInfo:
    return SlideInfo(
        width_px0=9, height_px0=9, level_downsamples=(1.0, 2.0005), level_sizes_px=((9, 9), (4, 4)),
        vendor="v", reader="r", objective_power=20.0, stated_mpp=stated,
        audit=MppAudit(sources=(), mpp=audited),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("audited", "stated", "mpp"),
    [(0.25, None, 0.25), (0.25, 0.5, 0.5), (None, 0.5, 0.5), (None, None, None)],
)
def test_what_a_person_states_goes_before_what_the_file_says(audited, stated, mpp) -> None:
    facts = info(audited=audited, stated=stated)
    assert facts.mpp == facts.scales.mpp == mpp
    assert facts.scales.level_downsamples == (1.0, 2.0005)
    assert facts.scales.objective_power == 20.0
    assert facts.fallback == ""


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("undecodable", "Copy the file again"),
        ("missing", "Copy the file again"),
        ("beyond_end", "cut short"),
        ("overlapping", "table of tiles is damaged"),
        ("no_pixels", "Copy the file again"),
    ],
)
def test_the_error_of_a_fault_names_file_tile_place_and_remedy(reason, remedy) -> None:
    grid = TileGrid(width_px=500, height_px=300, tile_width_px=240, tile_height_px=240)
    error = tile_error("a/s.svs", grid.fault(1, 4, TileDamaged(reason, "what was seen")))
    assert type(error) is TileUnreadable
    assert error.message == "a/s.svs: level 1, tile 4 at (240, 240), 240 x 60 px: what was seen"
    assert error.path == "a/s.svs"
    assert remedy in error.remedy
    assert "pathassets check" in error.remedy


@pytest.mark.parametrize("mpp", [0.01, 0.25, 7.5, 100.0])
def test_a_person_may_state_what_light_can_show(mpp) -> None:
    assert check_mpp(mpp, subject="s-1") == mpp


@pytest.mark.parametrize("mpp", [0.0, -0.25, 0.0099, 100.1, 352.78, float("nan"), float("inf")])
def test_a_person_may_not_state_the_impossible(mpp) -> None:
    with pytest.raises(SpecError, match=r"^s-1: \S+ um per pixel is not between 0.01 and 100") as e:
        check_mpp(mpp, subject="s-1")
    assert f"{mpp:g}" in e.value.message
    assert e.value.remedy.startswith("Give micrometres (not millimetres) per pixel")


@pytest.mark.parametrize(
    ("audit", "kind"),
    [
        (audit_mpp(()), ResolutionMissing),
        (audit_mpp(sources("0.25", "0.5")), ResolutionImplausible),
        (audit_mpp(sources("inf")), ResolutionImplausible),
    ],
)
def test_the_error_of_an_audit_names_slide_values_and_remedy(audit, kind) -> None:
    error = resolution_error("S1-0123456789", audit.reason, audit.fact)
    assert type(error) is kind
    assert error.reason == audit.reason
    assert error.message == f"S1-0123456789: {audit.fact}"
    assert "pathassets mpp set S1-0123456789 MPP --who NAME --why" in error.remedy
    assert error.remedy in str(error)
