from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Table, insert, update

from pathassets.catalog import tables
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database import connect
from pathassets.catalog.records import (
    UNSTAMPED,
    AnnotationRecord,
    BadTileRecord,
    PathRecord,
    SlideRecord,
)
from pathassets.catalog.selections.words import LABEL_NAMES
from pathassets.core.selection.nodes import Field, Saved, Selection
from pathassets.core.selection.parser import parse
from pathassets.core.selection.rows import Row, matches
from tests.core.selection.trees import ASSETS, globs, selections


def slide_of(slide_id: str, **facts: object) -> SlideRecord:
    known = {
        "fingerprint": f"{slide_id} content",
        "size_bytes": 1,
        "vendor": "aperio",
        "reader": "openslide 4",
        "width_px0": 10,
        "height_px0": 10,
        "n_levels": 1,
        "level_downsamples": (1.0,),
        "mpp": 0.5,
        "mpp_sources": (),
    }
    return SlideRecord(slide_id=slide_id, **{**known, **facts})  # type: ignore[arg-type]


SLIDES = (
    slide_of("a", patient="a b", label="60", objective_power=60.0, stain="HE", scanner="a b"),
    slide_of("b", patient='say "x"', label="a*b", vendor="HE", mpp=None, stain="b"),
    slide_of("HE", patient="C:\\x", label="0.5", scanner="a*b"),
    slide_of("a*b", label="é", vendor="a_%", mpp=0.25),
    slide_of("[a]", patient="", label="III"),
)
PATHS = {
    "a": ("a", "/a b", "/x"),
    "b": ("b", "C:\\x"),
    "HE": ("é",),
    "a*b": ("a*b",),
    "[a]": ("[a]",),
}
DRAWN = {"a": ("a", "b"), "b": ("HE",)}
STATED_MPP = {"b": 0.5, "HE": 60.0}
COHORTS = {"a": ("a", "HE"), "b": ("a",), "[a]": ("a b",)}
TAGS = {"a": ("b",), "HE": ("b", "a*b")}
SITES = {"a b": "HE", 'say "x"': None, "C:\\x": "a"}
LABELS = {("a", "age"): "60", ("b", "subtype"): "HE", ("b", "tumour stage"): "a b"}
PATIENT_LABELS = {("a b", "age"): "0.5", ("C:\\x", "subtype"): "a*b", ("a b", "label"): "HE"}
VERDICTS = {"a": ("reject", "a"), "b": ("HE",)}
"""One after the other; the last is in force."""
OTSU, STATS = ASSETS
N_BAD_TILES = {"a": 2, "b": 0}
"""Of the others nobody knows."""
STANDS = {
    ("a", OTSU): ("current", "", None),
    ("a", STATS): ("current", "", 60),
    ("b", OTSU): ("failed", "HE", None),
    ("b", STATS): ("blocked", "a", None),
    ("HE", OTSU): ("current", "", 0),
    ("HE", STATS): ("stale", "", 60),
    ("a*b", OTSU): ("damaged", "a*b", 60),
}
"""State, reason, and patches of the artifact that is wanted."""
PLAN = 2


def fill(catalog: Catalog) -> None:
    for record in SLIDES:
        for path in PATHS[record.slide_id]:
            seen = PathRecord(
                path=path, slide_id=record.slide_id, size_bytes=1, mtime_ns=1, ctime_ns=1
            )
            catalog.register_slide(record, seen)
    for slide_id, mpp in STATED_MPP.items():
        catalog.override_mpp(slide_id, 99.0, who="Ann", why="a first guess")
        catalog.override_mpp(slide_id, mpp, who="Ann", why="the scanner's log")
    for slide_id, names in DRAWN.items():
        for name in names:
            catalog.record_annotation(annotation(slide_id, name, digest="d1"))
    catalog.record_annotation(annotation("HE", "a", digest="d1"))
    catalog.record_annotation(annotation("HE", "a", digest=""))  # withdrawn
    catalog.enter_bad_tiles([bad_tile("a", n) for n in range(2)])
    catalog.replace_bad_tiles("b", [])
    fill_cohorts(catalog)


def fill_cohorts(catalog: Catalog) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    rows: dict[Table, list[dict[str, Any]]] = {
        tables.cohort: [{"name": name, "made_at": at} for name in ("a", "HE", "a b")],
        tables.cohort_slide: [
            {"slide_id": s, "cohort": c} for s, of in COHORTS.items() for c in of
        ],
        tables.slide_tag: [{"slide_id": s, "tag": tag} for s, of in TAGS.items() for tag in of],
        tables.slide_label: [said({"slide_id": s}, n, v) for (s, n), v in LABELS.items()],
        tables.patient_label: [said({"patient": p}, n, v) for (p, n), v in PATIENT_LABELS.items()],
        tables.verdict: [
            {"slide_id": s, "verdict": v, "who": "Ann", "why": "", "made_at": at}
            for s, of in VERDICTS.items()
            for v in of
        ],
        tables.plan: [
            {"plan_id": n, "recipe_digest": str(n), "made_at": at, "used_at": at} for n in (1, PLAN)
        ],
        tables.wanted: [
            wanted_row(plan_id, slide_id, asset, state, reason)
            for (slide_id, asset), (state, reason, _) in STANDS.items()
            for plan_id, state in ((PLAN, state), (1, "missing"))
        ],
    }
    with connect.writing(catalog._engine) as connection:
        for patient, site in SITES.items():
            known = tables.patient.c.patient == patient
            connection.execute(update(tables.patient).where(known).values(site=site))
        for table, some in rows.items():
            connection.execute(insert(table), some)
        for (slide_id, asset), (_, _, n_patches) in STANDS.items():
            facts = {} if n_patches is None else {"n_patches": n_patches, **quality(n_patches)}
            connection.execute(insert(tables.artifact), artifact_row(slide_id, asset, facts, at))


def said(of: dict[str, str], name: str, value: str) -> dict[str, str]:
    return {**of, "name": name, "value": value, "kind": "text", "source": ""}


def wanted_row(plan_id: int, slide_id: str, asset: str, state: str, reason: str) -> dict[str, Any]:
    stage, name = asset.split("/")
    return {
        "plan_id": plan_id, "slide_id": slide_id, "stage": stage, "name": name, "digest": "d",
        "lacks": "", "state": state, "reason": reason if plan_id == PLAN else "",
        "is_final": False,
    }  # fmt: skip


def artifact_row(slide_id: str, asset: str, facts: dict[str, int], at: datetime) -> dict[str, Any]:
    stage, name = asset.split("/")
    return {
        "stage": stage, "name": name, "partition_key": slide_id, "digest": "d", "uri": "u",
        "spec": {}, "code_version": "1", "facts": facts, "files": [], "made_by": "", "made_at": at,
    }  # fmt: skip


def annotation(slide_id: str, name: str, digest: str) -> AnnotationRecord:
    return AnnotationRecord(
        slide_id=slide_id, name=name, digest=digest, file="", sha256="", n_polygons=0, labels={},
        who="Ann", why="review",
    )  # fmt: skip


def bad_tile(slide_id: str, n: int) -> BadTileRecord:
    return BadTileRecord(
        slide_id=slide_id, level=0, x_px=n, y_px=0, width_px=1, height_px=1, tile=n,
        reason="tile_unreadable", message="", found_by="check",
    )  # fmt: skip


def row_of(record: SlideRecord) -> Row:
    """What is known of a slide, as `matches` is told it."""
    slide_id = record.slide_id
    row: dict[str, Any] = {
        "id": slide_id,
        "patient": record.patient,
        "label": record.label,
        "vendor": record.vendor,
        "objective_power": record.objective_power,
        "mpp": STATED_MPP.get(slide_id, record.mpp),
        "path": PATHS[slide_id],
        "annotated": DRAWN.get(slide_id, ()),
        "stain": record.stain,
        "scanner": record.scanner,
        "site": SITES.get(str(record.patient)),
        "cohort": COHORTS.get(slide_id, ()),
        "tag": TAGS.get(slide_id, ()),
        "verdict": VERDICTS.get(slide_id, (None,))[-1],
    }
    labels = [(name, value) for (of, name), value in LABELS.items() if of == slide_id]
    labels += [(n, value) for (of, n), value in PATIENT_LABELS.items() if of == record.patient]
    for name, value in labels:
        key = "label" if name == "label" else f"label.{name}"
        row[key] = [*([row[key]] if isinstance(row.get(key), str) else row.get(key, [])), value]
    for (of, asset), (state, reason, n_patches) in STANDS.items():
        if of == slide_id:
            row[f"state.{asset}"] = state
            row[f"reason.{asset}"] = reason or None
            row[f"n_patches.{asset}"] = n_patches if state == "current" else None
            if n_patches is not None and state == "current":
                known = quality(n_patches)
                row[f"focus.{asset}"] = known["focus_median"]
                row[f"ink_share.{asset}"] = known["ink_share"]
    row["n_bad_tiles"] = N_BAD_TILES.get(slide_id)
    return row


def quality(n_patches: int) -> dict[str, float | None]:
    """Facts as `patch_quality` has them; None where nothing was to be measured."""
    return {"focus_median": n_patches / 2 if n_patches else None, "ink_share": n_patches / 120}


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], scope="module"
)
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Catalog]:
    """A catalog of few slides, of which many things are known."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('selected') / 'catalog.db'}"
    else:
        url = request.getfixturevalue("make_schema")()
    with Catalog.open(url) as catalog:
        fill(catalog)
        yield catalog


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(selections(globs()))
def test_the_database_chooses_what_the_rows_would(filled: Catalog, selection: Selection) -> None:
    expected = [one.slide_id for one in SLIDES if matches(selection, row_of(one))]
    assert filled.select_slides(selection, PLAN) == expected


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("*", ["a", "b", "HE", "a*b", "[a]"]),
        ("a*", ["a", "a*b"]),
        ("A*", []),
        ('"a*b"', ["a*b"]),
        ("'[a]'", ["[a]"]),
        ("?", ["a", "b"]),
        ("!patient:*", ["a*b"]),
        ('patient:""', ["[a]"]),
        ("label>=0.5", ["a", "HE"]),
        ("mpp=0.5", ["a", "b", "[a]"]),
        ("!mpp<99", []),
        ("annotated:a,HE", ["a", "b"]),
        ("cohort:a & !cohort:HE", ["b"]),
        ("tag:'a*b' | site:HE", ["a", "HE"]),
        ("label.age<1", ["a"]),
        ("!label.subtype:*", ["a", "a*b", "[a]"]),
        ("label:HE", ["a"]),
        ("verdict:reject", []),
        ("state:current & state:stale", ["HE"]),
        (f"state.{STATS}:current", ["a"]),
        ("reason:*", ["b", "a*b"]),
        ("n_patches=0 | n_patches>=60", ["a", "HE"]),
        ("focus<40 & focus>=30", ["a"]),
        ("ink_share<0.1", ["HE"]),
        (f"focus.{OTSU}>0", []),
        ("n_bad_tiles=0", ["b"]),
        ("n_bad_tiles>0", ["a"]),
        ("!n_bad_tiles>=0", ["HE", "a*b", "[a]"]),
        ("!state:*", ["[a]"]),
        ("path:/a*", ["a"]),
        ("(path:C*x | label:é) & !vendor:a_%", ["b"]),
    ],
)
def test_what_is_asked_is_found(filled: Catalog, text: str, found: list[str]) -> None:
    assert filled.select_slides(parse(text), PLAN) == found


@pytest.mark.parametrize(
    ("field", "counted", "near", "word"),
    [
        (Field(name="patient"), 4, ["a b"], "a c"),
        (Field(name="cohort"), 3, ["HE"], "hee"),
        (Field(name="tag"), 2, ["a*b"], "a*c"),
        (Field(name="label"), 6, ["a*b"], "a*bb"),
        (Field(name="label", of="subtype"), 2, ["HE"], "he"),
        (Field(name="site"), 2, ["HE"], "hee"),
        (Field(name="reason"), 3, ["a*b"], "a*d"),
        (Field(name="state"), 5, ["failed"], "faild"),
        (Field(name="annotated"), 3, [], "tumour"),
        (LABEL_NAMES, 4, ["tumour stage"], "tumor stage"),
    ],
)
def test_words_of_a_field_are_known_counted_and_found_near(
    filled: Catalog, field: Field, counted: int, near: list[str], word: str
) -> None:
    found = filled.count_words(field, PLAN)
    assert len(found) == counted
    assert [n for _, n in found] == sorted((n for _, n in found), reverse=True)
    assert filled.count_words(field, PLAN, limit=1) == found[:1]
    words = [one for one, _ in found]
    assert filled.known_words(field, [*words, word], PLAN) == set(words)
    assert filled.near_words(field, word, PLAN)[:1] == near


def test_a_cohort_without_slides_is_known(filled: Catalog) -> None:
    assert filled.known_words(Field(name="cohort"), ["HE", "none"], None) == {"HE"}


def test_ten_thousand_ids_are_asked_at_once(filled: Catalog) -> None:
    names = ",".join([f"s{n}" for n in range(10_000)] + ["b", "a"])
    assert filled.select_slides(parse(names)) == ["a", "b"]
    assert filled.known_slides([f"s{n}" for n in range(2000)] + ["b"]) == {"b"}


def test_what_is_asked_of_assets_is_asked_of_a_plan(filled: Catalog) -> None:
    with pytest.raises(ValueError, match="state: of which plan is not said"):
        filled.select_slides(parse("state:failed"))
    assert filled.select_slides(parse("state:failed"), 1) == []


def test_what_a_saved_selection_stands_for_must_have_been_put_in(filled: Catalog) -> None:
    with pytest.raises(ValueError, match="@pilot: not expanded"):
        filled.select_slides(Saved(name="pilot"))


def test_the_newest_of_a_name_is_in_force(catalog: Catalog) -> None:
    assert catalog.saved_selections() == {}
    catalog.save_selection("pilot", "a, b", who="Ann")
    catalog.save_selection("all", "*", who="Bob")
    last = catalog.save_selection("pilot", "a", who="Bob")
    found = catalog.saved_selections()
    assert list(found) == ["all", "pilot"]
    assert found["pilot"] == last
    assert found["pilot"].made_at != UNSTAMPED
