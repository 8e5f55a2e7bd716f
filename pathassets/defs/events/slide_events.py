"""Outcomes -> the events and words that Dagster shows for a partition."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_shared.record import replace

from pathassets.catalog.records import AnnotationRecord
from pathassets.core.address import Address
from pathassets.core.quality.rules import (
    SlideRules,
    broken_rules,
    limits_of,
    rules_of_slide,
    value_of,
)
from pathassets.core.recipe import ANNOTATIONS
from pathassets.core.stages import PATCH_QUALITY
from pathassets.defs.events.data_versions import Provenance, asset_key, data_version_tags
from pathassets.defs.events.numbers import fact_value, fact_values
from pathassets.defs.events.slide_facts import (
    Metadata,
    SlideFacts,
    page_link,
    pictures,
    slide_metadata,
)
from pathassets.defs.partitions import SLIDE_KEY
from pathassets.defs.text import bullets, bullets_value, quoted, text_value
from pathassets.engine.features.works import EncodingStats
from pathassets.engine.platform.forgotten import require_staying
from pathassets.engine.platform.plan import PlannedSlide
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.rows import Cell
from pathassets.engine.stages.outcomes import SlideOutcome, StepOutcome
from pathassets.errors import CatalogError, FeaturesNotFinite, SlideForgotten

HAS_TISSUE = "has_tissue"
"""Check on every tissue mask: bare glass is a value, and this points at it."""
HAS_PATCHES = "has_patches"
"""Check on all patch locations: none is a value, and this points at it."""
ARE_FINITE = "features_are_finite"
"""Check on all features; it fails where the encoder gives NaN or infinity, and nothing is made."""
KEEP_RULES = "keeps_rules"
"""Check on patch quality that has rules; it fails where the slide breaks one, and says which."""
UNLIKE = 0.25
"""Share by which patches may differ in resolution from what an encoder was trained on."""
WITHDRAWN = "withdrawn"
"""What stands for the data version of an annotation that counts no more."""

_PREVIEWS = {
    "tissue_mask": "mask",
    "patch_locations": "grid",
    "patch_set": "patches",
    "patch_quality": "quality_map",
    "features": "features_map",
}


Event = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation


def events_of(outcome: SlideOutcome, provenance: Provenance) -> Iterator[Event]:
    """A materialization for each artifact that is there now, its checks, and reasons in words.

    Each is to be logged before the next is asked for: an event tells which ones it follows from.
    """
    for step in outcome.steps:
        if step.artifact is None:
            yield _reason(step)
            if step.reason == FeaturesNotFinite.reason and step.state == "failed":
                yield _aimed(_not_finite(step), provenance)
            continue
        address = step.artifact.address
        yield dg.AssetMaterialization(
            asset_key=asset_key(address),
            partition=outcome.slide_id,
            metadata=_metadata(step),
            tags=provenance.tags(step.step),
        )
        if address.stage in _CHECKS:
            yield _aimed(_CHECKS[address.stage](step.artifact.facts, address), provenance)
        if address.stage == PATCH_QUALITY and (
            rules := rules_of_slide(step.step.entry.spec.checks)
        ):
            yield _aimed(_keeps_rules(rules, step.artifact.facts, address), provenance)


def _reason(outcome: StepOutcome) -> dg.AssetObservation:
    """Why a partition is red, where a person looks first: on the partition's own page."""
    address = outcome.step.address
    return dg.AssetObservation(
        asset_key=asset_key(address),
        partition=address.partition_key,
        description=quoted(outcome.message),
        metadata={
            "state": outcome.state,
            "reason": outcome.reason,
            "message": text_value(outcome.message),
            "remedy": text_value(outcome.remedy),
        },
    )


def _aimed(said: dg.AssetCheckEvaluation, provenance: Provenance) -> dg.AssetCheckEvaluation:
    """Say which materialization a check is about: Dagster shows a verdict on the newest alone."""
    target = provenance.newest(said.asset_key, said.partition or "")
    return replace(said, target_materialization_data=target)


def _has_tissue(facts: Mapping[str, Any], address: Address) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(address),
        check_name=HAS_TISSUE,
        passed=facts["tissue_mm2"] > 0,
        severity=dg.AssetCheckSeverity.WARN,
        description="" if facts["tissue_mm2"] > 0 else "bare glass: no tissue was found",
        metadata=fact_values({"tissue_mm2": facts["tissue_mm2"]}),
        partition=address.partition_key,
    )


def _has_patches(
    facts: Mapping[str, Any],
    address: Address,
    fault: str = "no square has enough tissue in its area",
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(address),
        check_name=HAS_PATCHES,
        passed=facts["n_patches"] > 0,
        severity=dg.AssetCheckSeverity.WARN,
        description="" if facts["n_patches"] > 0 else fault,
        metadata={"n_patches": facts["n_patches"]},
        partition=address.partition_key,
    )


def _has_embedded_patches(facts: Mapping[str, Any], address: Address) -> dg.AssetCheckEvaluation:
    return _has_patches(facts, address, "no patch: the embedding has no number")


def _are_finite(facts: Mapping[str, Any], address: Address) -> dg.AssetCheckEvaluation:
    """Passed: an encoder's features are looked at before they are written."""
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(address),
        check_name=ARE_FINITE,
        passed=True,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"n_patches": facts["n_patches"]},
        partition=address.partition_key,
    )


def _keeps_rules(
    rules: SlideRules, facts: Mapping[str, Any], address: Address
) -> dg.AssetCheckEvaluation:
    """Each rule with value and limit; which are broken, in words."""
    broken = [*broken_rules(rules, facts)]
    metadata: Metadata = {}
    for rule, limit in limits_of(rules).items():
        value = value_of(rule, facts)
        metadata[rule] = text_value(f"{limit:g}")
        metadata[rule[4:]] = fact_value(rule[4:], "not known" if value is None else value)
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(address),
        check_name=KEEP_RULES,
        passed=not broken,
        severity=dg.AssetCheckSeverity.WARN,
        description=quoted("; ".join(map(str, broken))),
        metadata=metadata,
        partition=address.partition_key,
    )


def _not_finite(outcome: StepOutcome) -> dg.AssetCheckEvaluation:
    """Failed: of a partition that has no materialization, the check tells the patch."""
    address = outcome.step.address
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(address),
        check_name=ARE_FINITE,
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=quoted(outcome.message),
        metadata={"remedy": text_value(outcome.remedy)},
        partition=address.partition_key,
    )


_CHECKS = {
    "tissue_mask": _has_tissue,
    "patch_locations": _has_patches,
    "features": _are_finite,
    "slide_embedding": _has_embedded_patches,
}


def _metadata(outcome: StepOutcome) -> Metadata:
    artifact = outcome.artifact
    if artifact is None:
        return {}
    metadata: Metadata = {}
    if outcome.preview:
        metadata |= pictures(_PREVIEWS[artifact.address.stage], outcome.preview)
        metadata |= page_link(artifact.address.partition_key)
    facts = artifact.facts.items()
    metadata |= fact_values({name: value for name, value in facts if value not in ([], None)})
    metadata["bytes"] = dg.MetadataValue.int(artifact.size_bytes)
    metadata["state"] = text_value(
        "made now" if outcome.state == "made" else "current: nothing was computed"
    )
    if warnings := _warnings(artifact.facts):
        metadata["warning"] = text_value("; ".join(warnings))
    if outcome.seconds is not None:
        metadata["seconds"] = fact_value("seconds", outcome.seconds)
    if outcome.stats is not None:
        metadata |= _speed(outcome.stats)
    metadata["uri"] = text_value(str(artifact.address))
    return metadata


def _speed(stats: EncodingStats) -> Metadata:
    """What a pass over the slide took, which encoders of the same patches share."""
    seconds = {
        "reading": stats.reading_s,
        "waiting": stats.waiting_s,
        "computing": stats.computing_s,
        "writing": stats.writing_s,
    }
    found: dict[str, float] = {
        **{f"seconds_{what}": value for what, value in seconds.items()},
        "device_busy_share": stats.busy_share,
        "n_encoded_now": stats.n_patches,
        "peak_memory_bytes": stats.peak_bytes,
    }
    if stats.n_patches and stats.wall_s:
        found["patches_per_second"] = stats.n_patches / stats.wall_s
    if stats.n_halved:
        found["n_halved"] = stats.n_halved
    return fact_values(found)


def _warnings(facts: Mapping[str, Any]) -> list[str]:
    """What a person should know before trusting the artifact."""
    said = []
    if facts.get("weights") == "untrained":
        said.append("UNTRAINED weights: not for training on")
    trained, patch = facts.get("trained_mpp"), facts.get("patch_mpp")
    if trained and patch and abs(patch - trained) > UNLIKE * trained:
        said.append(f"the encoder was trained at {trained:g} um per pixel, these are at {patch:g}")
    if facts.get("is_upsampled"):
        said.append("the slide has fewer pixels than asked for: its patches are enlarged")
    if facts.get("n_bad_tiles"):
        left_out = f", {facts['n_skipped']} patches left out" if "n_skipped" in facts else ""
        said.append(f"{facts['n_bad_tiles']} tiles cannot be read{left_out}")
    if facts.get("fallback"):
        said.append(f"read by OpenSlide alone: {facts['fallback']}")
    return said


def slide_events(
    planned: PlannedSlide, facts: SlideFacts
) -> tuple[dg.AssetObservation, dg.AssetMaterialization]:
    """The root of a slide's chain, as ingestion reports it.

    Of an asset that no run makes Dagster takes the version from observations alone, and the colour
    on the page from materializations.
    """
    tags = data_version_tags(planned.version)
    seen = dg.AssetObservation(
        SLIDE_KEY, partition=planned.slide_id, description="registered", tags=tags
    )
    made = dg.AssetMaterialization(
        asset_key=SLIDE_KEY,
        partition=planned.slide_id,
        metadata=slide_metadata(planned, facts),
        tags=tags,
    )
    return seen, made


def annotation_version(drawn: AnnotationRecord) -> str:
    """Data version of what is, or is no more, drawn on a slide."""
    return WITHDRAWN if drawn.is_withdrawn else drawn.digest


def annotation_events(
    drawn: AnnotationRecord, preview: bytes
) -> tuple[dg.AssetMaterialization, dg.AssetObservation]:
    """What is drawn on a slide, as recording it reports.

    The observation gives the version, as it does for a slide; it comes last and so says that both
    were reported. One of a withdrawal gives none: of what was made before anything was drawn,
    Dagster compares the newest observation's version with that of the newest before, of which there
    is none (`CachingStaleStatusResolver._is_dep_updated`). With a version it would call it stale.
    """
    key = dg.AssetKey([ANNOTATIONS, drawn.name])
    tags = data_version_tags(annotation_version(drawn))
    metadata: Metadata = pictures("outlines", preview) if preview else {}
    if not drawn.is_withdrawn:
        metadata |= {
            "n_polygons": dg.MetadataValue.int(drawn.n_polygons),
            "labels": dg.MetadataValue.json(dict(drawn.labels)),
            "file": text_value(drawn.file),
            "sha256": text_value(drawn.sha256),
            **({"frame": text_value(drawn.frame)} if drawn.frame else {}),
        }
    metadata |= {"who": text_value(drawn.who), "why": text_value(drawn.why)}
    words = "withdrawn" if drawn.is_withdrawn else "recorded"
    made = dg.AssetMaterialization(
        key, partition=drawn.slide_id, description=words, metadata=metadata, tags=tags
    )
    seen_tags = {} if drawn.is_withdrawn else tags
    seen = dg.AssetObservation(key, partition=drawn.slide_id, description=words, tags=seen_tags)
    return made, seen


def said_unknown(platform: Platform, slide_id: str) -> str:
    """Fact and remedy of a partition that is no slide's any more, or whose removal was begun."""
    try:
        require_staying(platform.catalog, [platform.catalog.slide(slide_id).slide_id])
    except SlideForgotten as error:
        return str(error)
    except CatalogError:
        pass
    return f"{slide_id}: not in the catalog. Ingest its file again"


def failure_of(
    outcomes: list[SlideOutcome], unknown: list[str], n_slides: int, left_out: Iterable[Cell] = ()
) -> dg.Failure:
    """The end of a run in which slides failed: names each, with its reason in words.

    `unknown` says so of what is no slide; `left_out` was made of none.
    """
    lines = [*unknown]
    for outcome in outcomes:
        failed = outcome.failure
        if failed is not None:
            where = "/".join(failed.step.address.key)
            lines.append(f"{where}: {failed.told}")
    cells = [f"{'/'.join(cell.key)}: {cell.told}" for cell in left_out]
    told = [*cells, *lines]
    metadata = {"failed": bullets_value(told)}
    if cells:
        return dg.Failure(
            description=f"{len(cells):d} assets were left out, {len(lines):d} of {n_slides:d} "
            f"slides failed; the others are done.\n\n{bullets(told)}",
            metadata=metadata,
            allow_retries=False,
        )
    return dg.Failure(
        description=f"{len(lines):d} of {n_slides:d} slides failed; the others are done.\n\n"
        f"{bullets(told)}",
        metadata=metadata,
        allow_retries=False,
    )
