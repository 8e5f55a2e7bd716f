"""Manifest -> its description in Croissant, JSON-LD that other tools load data sets by.

Source: Croissant format specification 1.0, https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
_MEDIA = {"parquet": "application/x-parquet", "csv": "text/csv"}
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_MEANINGS = {
    "slide_id": "Name of the slide.",
    "patient": "Whose slide it is; a patient is in one part alone.",
    "label": "What the slide is labelled.",
    "split": "Part of the split.",
    "n_patches": "Rows of its features.",
    "features_uri": "Zarr group with features and coordinates, relative to the store.",
    "features_sha256": "SHA-256 over the files of its features.",
    "slide_sha256": "SHA-256 of the slide's content.",
    "slide_mpp": "Micrometres per level-0 pixel.",
    "slide_version": "Digest of content and resolution.",
    "tissue_mask_digest": "Artifact of the mask that its patches are in.",
    "patch_locations_digest": "Artifact of the places of its patches.",
    "features_digest": "Artifact of its features.",
    "n_used": "Rows of its features that are used; used_patches.parquet has a bit for each.",
    "patch_quality_digest": "Artifact of the quality of its patches, which rules were held to.",
    "site": "Where its patient was treated.",
}
_TYPES = {"int64": "sc:Integer", "float64": "sc:Float"}


def describe(name: str, manifest: pd.DataFrame, sha256_of: Mapping[str, str]) -> dict[str, Any]:
    """Describe files by their names and SHA-256, and the columns of `manifest.parquet`."""
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": name,
        "description": f"{len(manifest)} whole-slide images in parts that share no patient: "
        "labels, patch features and their SHA-256, and what each was made from. The features "
        "themselves are in the store that features_uri is relative to.",
        "distribution": [_file(file, sha256) for file, sha256 in sorted(sha256_of.items())],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "slides",
                "name": "slides",
                "description": "One row a slide.",
                "key": {"@id": "slides/slide_id"},
                "field": [_field(str(c), str(manifest[c].dtype)) for c in manifest.columns],
            }
        ],
    }


def _file(name: str, sha256: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "encodingFormat": _MEDIA[name.rpartition(".")[2]],
        "sha256": sha256,
    }


def _field(column: str, dtype: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"slides/{column}",
        "name": column,
        "description": _MEANINGS[column],
        "dataType": _TYPES.get(dtype, "sc:Text"),
        "source": {
            "fileObject": {"@id": "manifest.parquet"},
            "extract": {"column": column},
        },
    }
