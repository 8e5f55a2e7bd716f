"""The door to zarr: features, masks, embeddings and packed images as Zarr v3 groups."""
