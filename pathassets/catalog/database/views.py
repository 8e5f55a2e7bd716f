"""Tables -> views for people: what a cohort is like, in columns that pandas or a BI tool reads.

Views are code, not history: whenever a catalog is migrated all are dropped, and made as they stand
here. Who changes one adds a migration, be it one that does nothing, so that catalogs that are there
get it. `docs/catalog.md` says of every column what it is.

`name!(…)` is a function that the databases call differently: see `dialects.in_dialect`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy import Connection, inspect, text

from pathassets.catalog.database.dialects import in_dialect

V_SLIDES = """
SELECT
  s.slide_id, s.patient, p.site, s.label,
  COALESCE(m.mpp, s.mpp) AS mpp, s.mpp AS file_mpp, m.who AS mpp_stated_by,
  s.resolution_reason, s.scanner, s.stain, s.objective_power, s.vendor,
  s.width_px0, s.height_px0, s.n_levels, s.size_bytes, s.fingerprint AS sha256,
  (SELECT f.path FROM slide_path f WHERE f.slide_id = s.slide_id
   ORDER BY f.seen_at DESC, f.path LIMIT 1) AS path,
  (SELECT COUNT(*) FROM slide_path f WHERE f.slide_id = s.slide_id) AS n_paths,
  (SELECT joined!(c.cohort) FROM (SELECT cohort FROM cohort_slide
   WHERE slide_id = s.slide_id ORDER BY cohort) c) AS cohorts,
  (SELECT joined!(t.tag) FROM (SELECT tag FROM slide_tag
   WHERE slide_id = s.slide_id ORDER BY tag) t) AS tags,
  (SELECT CASE WHEN COUNT(*) > 0 OR k.checked_at IS NOT NULL THEN COUNT(*) END
   FROM bad_tile b WHERE b.slide_id = s.slide_id) AS n_bad_tiles,
  k.checked_at AS tiles_checked_at,
  v.verdict, v.who AS verdict_by, v.why AS verdict_why,
  s.registered_at
FROM slide s
LEFT JOIN patient p ON p.patient = s.patient
LEFT JOIN mpp_override m
  ON m.id = (SELECT MAX(n.id) FROM mpp_override n WHERE n.slide_id = s.slide_id)
LEFT JOIN tile_check k ON k.slide_id = s.slide_id
LEFT JOIN verdict v ON v.id = (SELECT MAX(w.id) FROM verdict w WHERE w.slide_id = s.slide_id)
"""

V_LABELS = """
SELECT
  l.slide_id, l.patient, l.said_of, l.name, l.value, l.kind,
  CASE WHEN l.kind = 'number' THEN as_number!(l.value) END AS number,
  l.source
FROM (
  SELECT s.slide_id, s.patient, 'slide' AS said_of, 'label' AS name, s.label AS value,
    'category' AS kind,
    COALESCE((SELECT c.file FROM cohort_change c WHERE c.id = (
      SELECT MAX(d.id) FROM cohort_change d WHERE d.key = s.slide_id AND d.field = 'label'
    )), '') AS source
  FROM slide s WHERE s.label IS NOT NULL
  UNION ALL
  SELECT o.slide_id, s.patient, 'slide', o.name, o.value, o.kind, o.source
  FROM slide_label o JOIN slide s ON s.slide_id = o.slide_id
  UNION ALL
  SELECT s.slide_id, s.patient, 'patient', o.name, o.value, o.kind, o.source
  FROM patient_label o JOIN slide s ON s.patient = o.patient
) l
"""

V_ARTIFACTS = """
SELECT
  a.stage, a.name, a.partition_key AS slide_id, a.digest, a.uri,
  fact_integer!(a.facts, n_patches) AS n_patches,
  fact_number!(a.facts, tissue_mm2) AS tissue_mm2,
  fact_number!(a.facts, tissue_share) AS tissue_share,
  fact_integer!(a.facts, n_bad_tiles) AS n_bad_tiles,
  fact_integer!(a.facts, n_skipped) AS n_skipped,
  fact_text!(a.facts, encoder) AS encoder,
  fact_integer!(a.facts, dim) AS dim,
  fact_text!(a.facts, reader) AS reader,
  a.code_version, n_items!(a.files) AS n_files, sum_of_items!(a.files, size_bytes) AS size_bytes,
  a.made_by, a.made_at
FROM artifact a
"""

V_FEATURES = """
SELECT
  a.partition_key AS slide_id, s.patient, s.label, a.name, a.digest,
  fact_text!(a.facts, encoder) AS encoder,
  fact_integer!(a.facts, dim) AS dim,
  fact_text!(a.facts, weights) AS weights,
  fact_text!(a.facts, precision) AS precision,
  fact_number!(a.facts, patch_mpp) AS patch_mpp,
  fact_integer!(a.facts, n_patches) AS n_patches,
  fact_integer!(a.facts, n_skipped) AS n_skipped,
  fact_integer!(a.facts, n_bad_tiles) AS n_bad_tiles,
  a.uri || '/features.zarr' AS features_uri,
  a.code_version, a.made_by, a.made_at
FROM artifact a
LEFT JOIN slide s ON s.slide_id = a.partition_key
WHERE a.stage = 'features'
"""

V_QUALITY = """
SELECT
  a.partition_key AS slide_id, s.patient, s.label, a.name, a.digest,
  fact_integer!(a.facts, n_patches) AS n_patches,
  fact_number!(a.facts, patch_mpp) AS patch_mpp,
  fact_number!(a.facts, focus_median) AS focus_median,
  fact_number!(a.facts, focus_p05) AS focus_p05,
  fact_number!(a.facts, focus_p95) AS focus_p95,
  fact_number!(a.facts, blurred_share) AS blurred_share,
  fact_number!(a.facts, contrast) AS contrast,
  fact_number!(a.facts, od_red) AS od_red,
  fact_number!(a.facts, od_green) AS od_green,
  fact_number!(a.facts, od_blue) AS od_blue,
  fact_number!(a.facts, haematoxylin) AS haematoxylin,
  fact_number!(a.facts, eosin) AS eosin,
  fact_number!(a.facts, glass_share) AS glass_share,
  fact_number!(a.facts, tissue_mm2) AS tissue_mm2,
  fact_number!(a.facts, coverage) AS coverage,
  fact_number!(a.facts, ink_mm2) AS ink_mm2,
  fact_number!(a.facts, ink_share) AS ink_share,
  fact_number!(a.facts, fold_share) AS fold_share,
  fact_integer!(a.facts, n_bad_tiles) AS n_bad_tiles,
  fact_integer!(a.facts, n_skipped) AS n_skipped,
  fact_number!(a.facts, bad_patch_share) AS bad_patch_share,
  a.uri || '/quality.parquet' AS quality_uri,
  a.made_by, a.made_at
FROM artifact a
LEFT JOIN slide s ON s.slide_id = a.partition_key
WHERE a.stage = 'patch_quality' AND NOT EXISTS (
  SELECT 1 FROM artifact b
  WHERE b.stage = a.stage AND b.name = a.name AND b.partition_key = a.partition_key
    AND (b.made_at > a.made_at OR (b.made_at = a.made_at AND b.digest > a.digest))
)
"""

V_ATTEMPTS = """
SELECT
  t.id AS attempt_id, t.run_id, t.stage, t.name, t.partition_key AS slide_id, t.digest, t.state,
  t.reason, t.message, t.remedy, CASE WHEN t.is_final THEN 1 ELSE 0 END AS is_final, t.seconds, t.at
FROM attempt t
"""

V_FAILURES = """
SELECT
  t.partition_key AS slide_id, s.patient, t.stage, t.name, t.reason, t.message, t.remedy,
  CASE WHEN t.is_final THEN 1 ELSE 0 END AS is_final, t.run_id, t.at
FROM attempt t
LEFT JOIN slide s ON s.slide_id = t.partition_key
WHERE t.state = 'failed' AND t.id = (
  SELECT MAX(u.id) FROM attempt u
  WHERE u.partition_key = t.partition_key AND u.stage = t.stage AND u.name = t.name
)
"""

V_DATASETS = """
SELECT
  a.name, a.digest, a.uri,
  fact_integer!(a.facts, n_slides) AS n_slides,
  fact_integer!(a.facts, n_patients) AS n_patients,
  fact_integer!(a.facts, n_without_patient) AS n_without_patient,
  fact_integer!(a.facts, n_left_out) AS n_left_out,
  fact_integer!(a.facts, n_patches) AS n_patches,
  a.made_by, a.made_at
FROM artifact a
WHERE a.stage = 'dataset'
"""

V_ANNOTATIONS = """
SELECT
  n.slide_id, n.name, CASE WHEN n.digest = '' THEN 1 ELSE 0 END AS is_withdrawn, n.digest,
  n.n_polygons, n.file, n.sha256, n.frame, n.who, n.why, n.made_at
FROM annotation n
WHERE n.id = (
  SELECT MAX(m.id) FROM annotation m WHERE m.slide_id = n.slide_id AND m.name = n.name
)
"""

V_ENCODERS = """
SELECT
  e.name, e.version, e.weights_sha256, e.weights, e.dim, e.input_px, e.mpp, e.pooling, e.precision,
  e.licence, CASE WHEN e.is_gated THEN 1 ELSE 0 END AS is_gated, e.source, e.description, e.seen_at
FROM encoder e
"""

V_BAD_TILES = """
SELECT
  b.slide_id, b.level, b.tile, b.x_px, b.y_px, b.width_px, b.height_px, b.reason, b.message,
  b.found_by, b.found_at
FROM bad_tile b
"""

V_CHANGES = """
SELECT
  c.id AS change_id, c.subject, c.key, c.field, c.old, c.new, c.who, c.file, c.sha256, c.at
FROM cohort_change c
"""

V_STATES = """
SELECT
  w.slide_id, s.patient, w.stage, w.name, w.state, w.reason,
  CASE WHEN w.is_final THEN 1 ELSE 0 END AS is_final, w.lacks, w.digest,
  a.seen_whole_at, a.damage
FROM wanted w
JOIN slide s ON s.slide_id = w.slide_id
LEFT JOIN artifact a ON a.stage = w.stage AND a.name = w.name
  AND a.partition_key = w.slide_id AND a.digest = w.digest
WHERE w.plan_id = (SELECT p.plan_id FROM plan p ORDER BY p.used_at DESC, p.plan_id DESC LIMIT 1)
"""

V_LINEAGE = """
SELECT
  e.stage, e.name, e.partition_key AS slide_id, e.digest,
  e.parent_stage, e.parent_name, e.parent_partition_key AS parent_slide_id, e.parent_digest
FROM artifact_parent e
"""

V_RELEASES = """
SELECT
  r.dataset || '@' || CAST(r.version AS TEXT) AS release_name, r.dataset, r.version, r.digest,
  r.content_sha256, r.features,
  (SELECT COUNT(*) FROM release_member m
   WHERE m.dataset = r.dataset AND m.version = r.version) AS n_slides,
  (SELECT COUNT(DISTINCT m.patient) FROM release_member m
   WHERE m.dataset = r.dataset AND m.version = r.version) AS n_patients,
  (SELECT COUNT(*) FROM release_left_out o
   WHERE o.dataset = r.dataset AND o.version = r.version) AS n_left_out,
  r.who, r.why, r.made_at
FROM "release" r
"""

V_RELEASE_MEMBERS = """
SELECT
  m.dataset || '@' || CAST(m.version AS TEXT) AS release_name, m.dataset, m.version, m.slide_id,
  m.patient, m.label, m.split, m.n_patches, r.features, m.features_digest, m.features_sha256,
  m.slide_sha256, m.slide_mpp
FROM release_member m
JOIN "release" r ON r.dataset = m.dataset AND r.version = m.version
"""

V_RELEASE_LEFT_OUT = """
SELECT
  o.dataset || '@' || CAST(o.version AS TEXT) AS release_name, o.dataset, o.version, o.slide_id,
  o.patient, o.label, o.why
FROM release_left_out o
"""

V_FINDINGS = """
SELECT
  f.dataset, f.finding, f.kind, f.one, f.other, f.message, f.remedy, f.digest, f.found_at
FROM dataset_finding f
"""

VIEWS: Mapping[str, str] = MappingProxyType(
    {
        "v_slides": V_SLIDES,
        "v_labels": V_LABELS,
        "v_artifacts": V_ARTIFACTS,
        "v_features": V_FEATURES,
        "v_quality": V_QUALITY,
        "v_attempts": V_ATTEMPTS,
        "v_failures": V_FAILURES,
        "v_datasets": V_DATASETS,
        "v_annotations": V_ANNOTATIONS,
        "v_encoders": V_ENCODERS,
        "v_bad_tiles": V_BAD_TILES,
        "v_changes": V_CHANGES,
        "v_states": V_STATES,
        "v_lineage": V_LINEAGE,
        "v_releases": V_RELEASES,
        "v_release_members": V_RELEASE_MEMBERS,
        "v_release_left_out": V_RELEASE_LEFT_OUT,
        "v_findings": V_FINDINGS,
    }
)
"""All of them, by name; none is made from another."""


def drop_views(connection: Connection) -> None:
    """Drop those that are there, in whatever form; views of people are left alone."""
    for name in sorted(set(inspect(connection).get_view_names()) & set(VIEWS)):
        connection.exec_driver_sql(f"DROP VIEW {name}")


def make_views(connection: Connection) -> None:
    """Make all of them; none is there."""
    for name, sql in VIEWS.items():
        connection.execute(
            text(f"CREATE VIEW {name} AS {in_dialect(sql.strip(), connection.dialect.name)}")
        )
