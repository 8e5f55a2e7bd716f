"""Which slides are meant, as text that people write and as a tree that is asked.

    text ─▶ parser ─▶ nodes, each with its place in the text ─▶ rows: does a row match?
                        │                                    └▶ catalog: the same as SQL
                        └▶ canonical text: equal selections have equal text

    cohort:luad & stain:HE & state:failed & !reason:tile_unreadable & label.subtype:acinar

`globs` has values and patterns, `fields` what may be asked of a slide, `faults` how an error points
at its place.
"""
