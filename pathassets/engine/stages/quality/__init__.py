"""The quality of patches, measured on the slide."""
