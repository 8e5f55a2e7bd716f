"""Annotation files -> Annotations: each format has a module, and `reader` finds which it is."""
