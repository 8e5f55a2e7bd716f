"""Which squares of a slide become patches: sampled, judged, drawn."""
