"""Open a store as SpatialData, and as wsidata beside its slide; print what is in it as JSON.

A process of its own: spatialdata and wsidata want other packages than the checkout has.
"""

from __future__ import annotations

import json
import sys
import warnings


def look(store: str, slide: str) -> dict[str, object]:
    import spatialdata  # noqa: PLC0415
    from wsidata import open_wsi  # noqa: PLC0415

    data = spatialdata.read_zarr(store)
    (name,) = data.tables
    table, tiles = data.tables[name], data.shapes["tiles"]
    wsi = open_wsi(slide, store=store)
    spec = wsi.tile_spec("tiles")
    return {
        "table": name,
        "region": list(table.obs["library_id"].unique()),
        "tile_id": table.obs["tile_id"].tolist(),
        "dtype": str(table.X.dtype),
        "rows": table.X.tolist(),
        "columns": list(tiles.columns),
        "bounds": tiles.bounds.to_numpy().tolist(),
        "tissues": len(data.shapes["tissues"]),
        "tissue_id": tiles["tissue_id"].tolist(),
        "base": [spec.base_width, spec.base_height],
        "fetched": wsi.fetch.features_anndata("colour_stats", "tiles").X.tolist(),
        "matched": len(spatialdata.match_element_to_table(data, "tiles", name)[1]),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(look(*sys.argv[1:])))  # noqa: T201
