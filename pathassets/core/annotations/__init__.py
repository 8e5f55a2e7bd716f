"""Annotations: polygons with labels, as masks, and what of a square lies within them."""
