"""The to-disk extractors: image files, and a manifest for each slide."""
