"""What is made of one slide, stage by stage: a module for each, one value for each in `registry`.

The data's way:

    slide ─▶ tissue_mask ─▶ patch_locations ─┬▶ patch_set
                 ▲               ▲           ├▶ patch_quality ──┐
                 └─ annotations ─┘           └▶ features ─┬▶ dataset, over all slides
                                                          └▶ slide_embedding

A slide's task is cut into segments (segments): what needs a device is made on a line, the rest in
worker processes. The way of the work in either:

    SlideTask ─▶ slide_task    groups of steps, parents first; mends what they are made from
    (outcomes)   or line       (a line drives many slides at once, and encodes for all of them)
                     │
                     ▼
                 step_group    for each group:
                     ├ published     made already? ─yes─▶ current
                     ├ context       the slide, opened by the first step that has to compute
                     ├ registry      the stage's value: how its steps are made, and which together
                     │   ├ tissue_mask · patch_locations · patch_set · patch_quality · features ·
                     │   │ slide_embedding
                     │   │           StageJob ─▶ files in a folder, Made     (job)
                     │   └ recorded_annotation     what tissue and locations take from people
                     ├ published     the folder gets its final name
                     └ outcomes      what was raised, in words
                     │
                     ▼
                 SlideOutcome  a StepOutcome for each step: made, current, failed or blocked
"""
